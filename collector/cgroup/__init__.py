"""One container's cgroup as typed readings, whichever version of cgroups the kernel offers."""
