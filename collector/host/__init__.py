"""The host's kernel files as typed readings: pure parsers, one module per node_exporter collector."""
