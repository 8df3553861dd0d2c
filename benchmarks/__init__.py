"""How fast rnn_jax is, how much memory it takes, and how both grow; beside its peers."""
