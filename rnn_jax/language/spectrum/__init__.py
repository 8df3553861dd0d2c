"""What gradients do in a run's model: `python -m rnn_jax spectrum`.

`reading` takes pieces of the validation text, `measure` runs the analyses on them, `pictures`
draws what they found, and `words` says it. Nothing is imported here, as in the package above.
"""
