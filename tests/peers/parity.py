"""Parity: two libraries, handed the same arrays, make the same numbers and the same gradients.

Each file beside this one writes one function twice: `theirs` runs the peer, `ours` runs rnn_jax,
both from the peer's arrays to the peer's outputs. So the map of the weights is differentiated
too, and the gradients meet in the peer's own form: by each of PyTorch's two biases, say.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import Phase, settings
from jax.flatten_util import ravel_pytree

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 2, 3

# Of any order: the longest in the middle, then twice, then with steps that no sequence has.
LENGTHS = [(2, 5, 4), (5, 1, 5), (1, 2, 1)]

# A few shapes: each is compiled, so that to look for a smaller one that fails takes minutes.
some_shapes = settings(max_examples=4, phases=[Phase.generate])


def weighed(out):
    """A loss that reads every number by its own weight."""
    flat, _ = ravel_pytree(out)
    return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))


@functools.partial(jax.jit, static_argnums=0)
def outcome(run, point, *marks):
    """`run(*point, *marks)`, and the gradient of a loss of it by all that `point` holds."""

    def loss(point):
        out = run(*point, *marks)
        return weighed(out), out

    grads, out = jax.grad(loss, has_aux=True)(point)
    return out, grads


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def moved(tree, seed=0):
    """Every array another one of its shape: no zero bias hides a mistake, and all are float64."""
    leaves, structure = jax.tree.flatten(tree)
    rng = np.random.default_rng(seed)
    return structure.unflatten([jnp.asarray(rng.normal(size=leaf.shape) / 2) for leaf in leaves])


def happens(lengths, steps=STEPS):
    return np.arange(steps)[:, None] < np.asarray(lengths)


def spoiled(xs, valid):
    """NaN where no step happens: what rnn_jax is handed, where peers are handed mere numbers."""
    return np.where(valid.reshape(*valid.shape, *[1] * (xs.ndim - valid.ndim)), xs, np.nan)
