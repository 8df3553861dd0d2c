"""Rules for arguments: each returns the value to work with, or raises an error that explains."""
