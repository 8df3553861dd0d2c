"""A learned mean over layers."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.arithmetic import widened
from rnn_jax.cell import Input
from rnn_jax.layers.memoryless import Memoryless


class LayerMixParams(NamedTuple):
    """`layers + 1` numbers."""

    s: jax.Array
    """`(layers,)`: logits of the weights."""
    gamma: jax.Array
    """A scalar: the scale of the mean."""


@dataclasses.dataclass(frozen=True)
class LayerMix(Memoryless):
    """A learned mean over layers: `y_t = gamma * sum_j softmax(s)_j x_{t,j}`.

    Shapes: x `(*batch, layers, features)`, y `(*batch, features)`. Parameters: `layers + 1`; they
    start as the plain mean, s = 0 and gamma = 1. Mixes what `words.contextual_vectors` returns,
    stacked by `jnp.stack(layers, axis=-2)`. Source: Peters et al., Deep contextualized word
    representations, NAACL 2018 (arXiv:1802.05365), equation 1.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> mix = rnn.LayerMix(layers=3, features=2)
    >>> params = mix.init(jax.random.key(0))._replace(gamma=jnp.array(2.0))
    >>> rnn.unroll(mix, params, jnp.array([[[1.0, 0.0], [2.0, 3.0], [3.0, 0.0]]]))[1].round(3)
    Array([[4., 2.]], dtype=float32)

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    layers: int
    """How many layers there are."""
    features: int
    """How long the vectors of each are."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no mean."""
        settle(self, layers=positive, features=positive)

    @property
    def input(self) -> Input:
        """A vector of each layer."""
        return Input((self.layers, self.features), jnp.floating)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LayerMixParams:
        """Those of the plain mean, whatever the key."""
        del key
        return LayerMixParams(jnp.zeros(self.layers, dtype), jnp.ones((), dtype))

    def project(self, params: LayerMixParams, xs: jax.Array) -> jax.Array:
        """The weighted sum over the layers."""
        weights = jax.nn.softmax(widened(params.s)).astype(xs.dtype)
        return params.gamma * jnp.einsum("...jf,j->...f", xs, weights)
