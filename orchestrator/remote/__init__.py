"""Hosts that aren't the one this runs on: disks and limits, as the configuration, agents and engines tell them."""
