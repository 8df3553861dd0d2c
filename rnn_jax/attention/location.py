"""The score of Chorowski: it also reads where the step before has looked."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.arithmetic import matmul, row
from rnn_jax.attention.score import Score, beside
from rnn_jax.initializers import glorot


class LocationSensitiveParams(NamedTuple):
    """`Q * A + width * filters + filters * A + 2 * A` numbers, beside the keys' `M * A`."""

    w_query: jax.Array
    """`(Q, A)`."""
    filters: jax.Array
    """`(width, filters)`: slid over the weights of the step before."""
    w_location: jax.Array
    """`(filters, A)`."""
    b: jax.Array
    """`(A,)`."""
    v: jax.Array
    """`(A,)`."""


@dataclasses.dataclass(frozen=True)
class LocationSensitive(Score):
    """`score_s = v . tanh(q @ w_query + m_s @ w_key + f_s @ w_location + b)`.

    `f_s = sum_j weight_{t-1, s + j - width // 2} filters_j` are filters over the weights of the
    step before, with zeros beyond both ends: so that attention can move on from where it was. It
    needs a cell that carries them, `attentive`; at a first step they are zeros.

    Parameters: `Q * A + M * A + width * filters + filters * A + 2 * A` with A features. Cost: that
    of `Additive`, and the filters; the carry has S numbers more a sequence. Source: Chorowski et
    al., Attention-based models for speech recognition, NeurIPS 2015, arXiv:1506.07503, equations
    8 and 9.

    >>> from rnn_jax.attention import Attention, LocationSensitive
    >>> Attention(8, 6, LocationSensitive(features=5, filters=3, width=7)).input.shape
    (8,)

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    features: int
    """A: how many units the network has."""
    filters: int
    """How many filters there are."""
    width: int
    """How many places a filter sees at once: as many to the left as to the right, if odd."""

    located = True

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        settle(self, features=positive, filters=positive, width=positive)

    def init(
        self, key: jax.Array, query_size: int, memory_size: int, dtype: DTypeLike
    ) -> tuple[jax.Array, LocationSensitiveParams]:
        """The five weights, and a bias of zeros."""
        k_key, k_query, k_filters, k_location, k_v = jax.random.split(key, 5)
        return glorot(k_key, (memory_size, self.features), dtype), LocationSensitiveParams(
            w_query=glorot(k_query, (query_size, self.features), dtype),
            filters=glorot(k_filters, (self.width, self.filters), dtype),
            w_location=glorot(k_location, (self.filters, self.features), dtype),
            b=jnp.zeros(self.features, dtype),
            v=glorot(k_v, (self.features, 1), dtype)[:, 0],
        )

    def scores(
        self,
        params: LocationSensitiveParams,
        query: jax.Array,
        keys: jax.Array,
        previous: Any,
    ) -> jax.Array:
        """The score of content and place."""
        of_query = matmul(query, params.w_query)[..., None, :]
        inside = of_query + beside(keys, query)
        inside = inside + matmul(_filtered(previous, params.filters), params.w_location)
        return matmul(jnp.tanh(inside + row(params.b, inside)), params.v[:, None])[..., 0]


def _filtered(weights: jax.Array, filters: jax.Array) -> jax.Array:
    """`(..., S)` and `(width, filters)` -> `(..., S, filters)`."""
    width = len(filters)
    left = width // 2
    found = lax.conv_general_dilated(
        weights.reshape(math.prod(weights.shape[:-1]), weights.shape[-1], 1),
        filters[:, None, :],
        window_strides=(1,),
        padding=[(left, width - 1 - left)],
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return found.reshape(*weights.shape, filters.shape[-1])
