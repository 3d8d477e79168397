"""One physical backup, run inside the container as `python3 -m runner`; standard library only."""
