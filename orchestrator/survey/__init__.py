"""Ask engines and Prometheus, under one deadline, for what a decision is made from."""
