"""Capacity, gate, placement and launch of backup containers."""
