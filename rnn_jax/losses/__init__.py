"""What a network is trained by."""
