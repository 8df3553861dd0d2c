"""A vector for each token."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments import integers
from rnn_jax.arguments.settings import finite, function, positive, settle
from rnn_jax.cell import Input
from rnn_jax.devices.sharding import rows_of
from rnn_jax.initializers import Initializer, Normal, drawn
from rnn_jax.layers.memoryless import Memoryless


class EmbeddingParams(NamedTuple):
    """`vocabulary_size * features` numbers."""

    w: jax.Array
    """`(vocabulary_size, features)`: one row a token."""


@dataclasses.dataclass(frozen=True)
class Embedding(Memoryless):
    """A table of vectors: `y_t = scale * w[x_t]`.

    Shapes: x `(*batch)` of an integer dtype, y `(*batch, features)`. Parameters:
    `vocabulary_size * features`. A token outside `[0, vocabulary_size)` gives NaN, for under jit
    nothing can be raised, and the nearest row would be a wrong result that nobody sees. Source:
    Bengio et al., A neural probabilistic language model, JMLR 3, 2003; the scale: Vaswani et al.,
    Attention is all you need, NeurIPS 2017, section 3.4.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> layer = rnn.Embedding(vocabulary_size=10, features=4)
    >>> rnn.unroll(layer, layer.init(jax.random.key(0)), jnp.array([1, 9, 1]))[1].shape
    (3, 4)

    Raises `ArgumentError` for a size that is not a positive integer, and a scale that is not a
    finite number.
    """

    vocabulary_size: int
    """How many tokens there are."""
    features: int
    """How long a token's vector is."""
    weight_init: Initializer = dataclasses.field(default=Normal(1.0), repr=False)
    """Draws `w`."""
    scale: float = 1.0
    """Factor of the vectors: above 1 where the table, drawn small, is the output's too (`tied`)."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no table, and a scale that is no number."""
        settle(self, vocabulary_size=positive, features=positive)
        settle(self, weight_init=function, scale=finite)

    @property
    def input(self) -> Input:
        """One token a step."""
        return Input((), jnp.integer)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> EmbeddingParams:
        """Draw the table."""
        shape = self.vocabulary_size, self.features
        return EmbeddingParams(drawn(self, "weight_init", key, shape, dtype))

    def project(self, params: EmbeddingParams, xs: jax.Array) -> jax.Array:
        """Look up the row of each token."""
        # JAX looks rows up by the last 32 bits of a number.
        rows = params.w.at[integers.count(xs, self.vocabulary_size - 1)]
        return self.scale * rows.get(
            mode="fill",
            fill_value=jnp.nan,
            wrap_negative_indices=False,
            out_sharding=rows_of(xs),
        )
