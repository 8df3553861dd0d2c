"""A trained layer as a folder: names and numbers, nothing that is run when it is loaded."""
