"""The machine that this runs on: sized volumes, block devices, limits in cgroups. Others: `orchestrator.remote`."""
