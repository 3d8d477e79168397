"""Container engines, one module each."""
