"""One file per source. A new input is one file here, and one line in `collector.catalogue`."""
