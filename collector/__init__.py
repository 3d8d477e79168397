"""The agent of vdbmon and the catalogue of everything it measures."""
