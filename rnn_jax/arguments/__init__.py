"""What users hand over: each rule returns the value to work with, or raises a sentence."""
