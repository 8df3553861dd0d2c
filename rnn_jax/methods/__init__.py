"""Ways through time, one per file; each gives the same numbers."""
