"""The two name worlds: pure functions from samples to Prometheus and telegraf names."""
