"""Running trained layers: over streams, and as programs that need no rnn_jax."""
