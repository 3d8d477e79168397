"""What the fleet has, gave away, uses and has left, and when it is full."""
