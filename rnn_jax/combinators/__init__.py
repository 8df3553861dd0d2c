"""Layers made of other layers, one kind per file."""
