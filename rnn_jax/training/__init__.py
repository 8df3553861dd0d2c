"""Training loops over streams, with optax."""
