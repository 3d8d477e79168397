"""`vdbmon top`: agents asked in parallel, rates out of two readings, a table in the terminal."""
