"""Trained layers at work: streams, and programs for where there is no rnn_jax."""
