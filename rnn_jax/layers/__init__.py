"""Layers without memory, one per file: all steps are computed at once, without a loop."""
