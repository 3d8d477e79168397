"""What the kernel of a host holds containers to: sized volumes, block devices, limits in cgroups."""
