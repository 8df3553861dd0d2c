"""Layers made of layers, one way per file."""
