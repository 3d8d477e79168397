"""`vdbmon serve`, once per fleet: lease, beat, metrics, service discovery, read-only API."""
