"""What concerns the process: its memory, its signals, and pickling."""
