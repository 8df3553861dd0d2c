"""Layers without memory: cells with an empty carry whose work is all `project`."""

import abc
import dataclasses
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.cell import Cell, Input, Method, Params, positive
from rnn_jax.gates import Initializer, glorot, zeros


class Memoryless(Cell):
    """A cell with nothing to remember: no loop runs, `project` does all steps at once."""

    @abc.abstractmethod
    def project(self, params: Params, xs: Any) -> jax.Array:
        """The layer itself, for any leading axes."""

    @final
    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> tuple[()]:
        """Nothing."""
        del params, batch_shape
        return ()

    @final
    def step(self, params: Params, carry: tuple[()], z: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Nothing happens in time."""
        del params
        return carry, z

    @final
    def unroll(
        self, params: Params, xs: Any, carry: tuple[()], method: Method
    ) -> tuple[tuple[()], jax.Array]:
        """All steps at once, whatever the method."""
        del method
        return carry, self.project(params, xs)


# One object for all, for layers are compared by their settings.
standard_normal = jax.nn.initializers.normal(1.0)


class EmbeddingParams(NamedTuple):
    """`vocabulary_size * features` numbers."""

    w: jax.Array
    """`(vocabulary_size, features)`: one row a token."""


@dataclasses.dataclass(frozen=True)
class Embedding(Memoryless):
    """A table of vectors: `y_t = w[x_t]`.

    Shapes: x `(*batch)` of an integer dtype, y `(*batch, features)`. Parameters:
    `vocabulary_size * features`. A token outside `[0, vocabulary_size)` gives NaN, for under jit
    nothing can be raised and the nearest row would be a silent lie. Source: Bengio et al., A
    neural probabilistic language model, JMLR 3, 2003.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> layer = rnn.Embedding(vocabulary_size=10, features=4)
    >>> rnn.unroll(layer, layer.init(jax.random.key(0)), jnp.array([1, 9, 1]))[1].shape
    (3, 4)

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    vocabulary_size: int
    """How many tokens there are."""
    features: int
    """How long a token's vector is."""
    weight_init: Initializer = standard_normal
    """Draws `w`."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no table."""
        positive(vocabulary_size=self.vocabulary_size, features=self.features)

    @property
    def input(self) -> Input:
        """One token a step."""
        return Input((), jnp.integer)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> EmbeddingParams:
        """Draw the table."""
        return EmbeddingParams(self.weight_init(key, (self.vocabulary_size, self.features), dtype))

    def project(self, params: EmbeddingParams, xs: jax.Array) -> jax.Array:
        """Look up."""
        return params.w.at[xs].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


class DenseParams(NamedTuple):
    """`D * features + features` numbers."""

    w: jax.Array
    """`(input_size, features)`."""
    b: jax.Array
    """`(features,)`."""


@dataclasses.dataclass(frozen=True)
class Dense(Memoryless):
    """An affine map of each step: `y_t = x_t @ w + b`, all steps in one matmul.

    Shapes: x `(*batch, D)`, y `(*batch, features)`. Parameters: `D * features + features`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> layer = rnn.Dense(input_size=3, features=2)
    >>> rnn.unroll(layer, layer.init(jax.random.key(0)), jnp.ones((7, 3)))[1].shape
    (7, 2)

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    input_size: int
    """D."""
    features: int
    """How many numbers come out."""
    weight_init: Initializer = glorot
    """Draws `w`."""
    bias_init: Initializer = zeros
    """Draws `b`."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no map."""
        positive(input_size=self.input_size, features=self.features)

    @property
    def input(self) -> Input:
        """`(D,)` numbers a step."""
        return Input((self.input_size,), jnp.floating)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> DenseParams:
        """Draw the matrix and the bias."""
        k_w, k_b = jax.random.split(key)
        return DenseParams(
            w=self.weight_init(k_w, (self.input_size, self.features), dtype),
            b=self.bias_init(k_b, (self.features,), dtype),
        )

    def project(self, params: DenseParams, xs: jax.Array) -> jax.Array:
        """`x @ w + b`."""
        return xs @ params.w + params.b
