"""The command `vdbmon`: configuration file, logging, and one file per command."""
