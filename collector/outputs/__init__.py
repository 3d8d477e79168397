"""Where samples go: one file per sink."""
