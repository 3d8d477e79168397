"""Pure projections of samples into the two name worlds, Prometheus and telegraf, and their wire formats."""
