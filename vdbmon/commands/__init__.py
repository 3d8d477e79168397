"""One file per command; commands parse and print, nothing else."""
