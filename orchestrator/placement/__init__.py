"""Place a container, see how it is doing, change it, take it back: decision, ledger and launch as one act."""
