"""Which host gets a container, and why: pure functions over a frozen snapshot of the fleet."""
