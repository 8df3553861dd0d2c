"""From the last carry of an encoder to the first of a decoder: three ways, each a value."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine
from rnn_jax.cell import Params
from rnn_jax.errors import ArgumentError
from rnn_jax.initializers import glorot
from rnn_jax.layers.dense import DenseParams


class Bridge(abc.ABC):
    """From the last carry of an encoder to the first of a decoder: a frozen dataclass.

    It sees carries as lists of arrays. Those of the decoder whose size the memory decides, the
    weights of a `LocationSensitive` score, are left out: they begin as zeros.
    """

    @abc.abstractmethod
    def init(
        self, key: jax.Array, given: Sequence[Any], wanted: Sequence[Any], dtype: DTypeLike
    ) -> Params:
        """Its params, from the shapes of what encoder and decoder carry, without batch axes.

        Raises `ArgumentError` where it cannot make the one of the other.
        """

    @abc.abstractmethod
    def begin(
        self, params: Params, given: list[jax.Array], initial: list[jax.Array], axes: int
    ) -> list[jax.Array]:
        """What the decoder begins with, from the encoder's last arrays and its own initial ones.

        All have `axes` batch axes in front.
        """


@dataclasses.dataclass(frozen=True)
class NoBridge(Bridge):
    """The decoder begins with its own initial carry: all that it knows comes by attention.

    >>> from rnn_jax.seq2seq import NoBridge
    >>> NoBridge()
    NoBridge()
    """

    def init(
        self, key: jax.Array, given: Sequence[Any], wanted: Sequence[Any], dtype: DTypeLike
    ) -> tuple[()]:
        """Nothing to learn."""
        del key, given, wanted, dtype
        return ()

    def begin(
        self, params: tuple[()], given: list[jax.Array], initial: list[jax.Array], axes: int
    ) -> list[jax.Array]:
        """The decoder's own."""
        del params, given, axes
        return initial


@dataclasses.dataclass(frozen=True)
class CopyBridge(Bridge):
    """The decoder begins with the arrays of the encoder's last carry, as they are.

    They take, in their order, the place of the first arrays of the decoder's carry, which must have
    their shapes. What the decoder carries beyond, such as the last output of `fed_back`, begins as
    its own. Params: none. Source: Sutskever, Vinyals & Le, Sequence to sequence learning with
    neural networks, NeurIPS 2014.

    >>> from rnn_jax.seq2seq import CopyBridge
    >>> CopyBridge()
    CopyBridge()
    """

    def init(
        self, key: jax.Array, given: Sequence[Any], wanted: Sequence[Any], dtype: DTypeLike
    ) -> tuple[()]:
        """Nothing to learn."""
        del key, dtype
        has, needs = ([tuple(leaf.shape) for leaf in leaves] for leaves in (given, wanted))
        if not has or has != needs[: len(has)]:
            raise ArgumentError(
                f"CopyBridge: the encoder carries arrays of the shapes {has}, and the decoder's "
                f"must begin with the same, got {needs}; DenseBridge() makes any of any."
            )
        return ()

    def begin(
        self, params: tuple[()], given: list[jax.Array], initial: list[jax.Array], axes: int
    ) -> list[jax.Array]:
        """The encoder's arrays, then what is left of the decoder's."""
        del params, axes
        copied = [g.astype(own.dtype) for g, own in zip(given, initial, strict=False)]
        return copied + initial[len(copied) :]


@dataclasses.dataclass(frozen=True)
class DenseBridge(Bridge):
    """A small layer for each array of the decoder's carry: `c = tanh(given @ w + b)`.

    `given` are all numbers of the encoder's last carry, side by side, so that encoder and decoder
    may be of any kind and size. Params: a `DenseParams` an array, `(G + 1) * size` numbers for G in
    the encoder's carry. Source: Bahdanau, Cho & Bengio, ICLR 2015, arXiv:1409.0473, appendix A.2.2,
    where it reads the backward state alone.

    >>> from rnn_jax.seq2seq import DenseBridge
    >>> DenseBridge()
    DenseBridge()
    """

    def init(
        self, key: jax.Array, given: Sequence[Any], wanted: Sequence[Any], dtype: DTypeLike
    ) -> tuple[DenseParams, ...]:
        """Draw the layers."""
        rows = sum(leaf.size for leaf in given)
        if not rows:
            raise ArgumentError(
                "DenseBridge: the encoder carries nothing that could be handed over; NoBridge() "
                "lets the decoder begin by itself."
            )
        keys = jax.random.split(key, len(wanted))
        return tuple(
            DenseParams(glorot(k, (rows, leaf.size), dtype), jnp.zeros(leaf.size, dtype))
            for k, leaf in zip(keys, wanted, strict=True)
        )

    def begin(
        self,
        params: tuple[DenseParams, ...],
        given: list[jax.Array],
        initial: list[jax.Array],
        axes: int,
    ) -> list[jax.Array]:
        """`tanh(given @ w + b)`, in the shape of each array."""
        flat = [g.reshape(*g.shape[:axes], math.prod(g.shape[axes:])) for g in given]
        everything = jnp.concatenate(flat, -1)
        return [
            jnp.tanh(affine(everything, p.w, p.b)).reshape(own.shape).astype(own.dtype)
            for p, own in zip(params, initial, strict=True)
        ]
