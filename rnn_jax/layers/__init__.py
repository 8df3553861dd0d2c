"""Layers without memory, one per file: no loop runs, all steps are worked out at once."""
