"""What goes through time, apart from how: the contract, padding, structure."""
