"""The process around the library: its memory, its signals, what it sends to others."""
