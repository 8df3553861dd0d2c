"""Tables that were published, measured again: one file a table, over one harness."""
