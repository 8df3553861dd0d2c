"""How the keys of a frame depend on one another: not at all given the past, or on those below."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

import rnn_jax as rnn


@dataclasses.dataclass(frozen=True)
class Independent:
    """Given the frames before it, each key of a frame is down or up by a coin of its own."""

    over_time: rnn.Stack
    """A frame `(K,)` -> logits of the next `(K,)`."""

    def init(self, key: jax.Array) -> rnn.Params:
        """Those of the network."""
        return self.over_time.init(key)

    def deterministic(self) -> "Independent":
        """Without dropout."""
        return Independent(self.over_time.deterministic())

    def logits(
        self, params: rnn.Params, frames: jax.Array, lengths: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """`(T, B, K)` of all frames but the first, from `frames` `(T + 1, B, K)`."""
        _, logits = rnn.unroll(self.over_time, params, frames[:-1], lengths=lengths, key=key)
        return logits


class JointParams(NamedTuple):
    """Params of `Joint`."""

    over_time: rnn.Params
    over_keys: rnn.Params


@dataclasses.dataclass(frozen=True)
class Joint:
    """Two loops: over time, then over the keys of each frame, which a key reads of those below it.

    So the costs of the keys add up to that of the frame as a whole, as in an RNN-NADE.
    """

    over_time: rnn.Stack
    """A frame `(K,)` -> what the past says of each key `(K, H)`."""
    over_keys: rnn.Stack
    """That `(H,)`, and behind it whether the next key below is down -> a logit `(1,)`."""

    def init(self, key: jax.Array) -> JointParams:
        """Those of both networks."""
        over_time, over_keys = jax.random.split(key)
        return JointParams(self.over_time.init(over_time), self.over_keys.init(over_keys))

    def deterministic(self) -> "Joint":
        """Without dropout."""
        return Joint(self.over_time.deterministic(), self.over_keys.deterministic())

    def logits(
        self, params: JointParams, frames: jax.Array, lengths: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """`(T, B, K)` of all frames but the first, from `frames` `(T + 1, B, K)`."""
        first, second = (None, None) if key is None else jax.random.split(key)
        _, known = rnn.unroll(
            self.over_time, params.over_time, frames[:-1], lengths=lengths, key=first
        )
        below = jnp.pad(frames[1:, :, :-1], ((0, 0), (0, 0), (1, 0)))
        reads = jnp.concatenate([known, below[..., None]], -1)
        _, logits = rnn.unroll(
            self.over_keys, params.over_keys, jnp.moveaxis(reads, 2, 0), key=second
        )
        return jnp.moveaxis(logits[..., 0], 0, 2)


Network = Independent | Joint
