"""The cells: one recurrence per file, with its equation, its params and its functions."""
