"""Cells made of cells."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.cell import Carry, Cell, Input, Method, Params
from rnn_jax.errors import ArgumentError


@dataclasses.dataclass(frozen=True)
class Stack(Cell):
    """Cells one upon the other; each reads what the one below emits. Made by `stack`.

    Params and carry are tuples, one entry a layer. Unrolled layer by layer, so that each
    layer's `project` is one matmul over all steps; stepped through all layers at once.
    """

    layers: tuple[Cell, ...]
    """From the input up."""

    @property
    def input(self) -> Input:
        """What the lowest layer reads."""
        return self.layers[0].input

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> tuple[Params, ...]:
        """Draw each layer's params from a key of its own."""
        keys = jax.random.split(key, len(self.layers))
        return tuple(layer.init(k, dtype) for layer, k in zip(self.layers, keys, strict=True))

    def initial_carry(
        self, params: tuple[Params, ...], batch_shape: tuple[int, ...] = ()
    ) -> tuple[Carry, ...]:
        """Each layer's own."""
        return tuple(
            layer.initial_carry(p, batch_shape)
            for layer, p in zip(self.layers, params, strict=True)
        )

    def project(self, params: tuple[Params, ...], xs: Any) -> tuple[Any, Any]:
        """The lowest layer's z, and the inputs that its `readout` may ask for."""
        return xs, self.layers[0].project(params[0], xs)

    def step(
        self, params: tuple[Params, ...], carry: tuple[Carry, ...], z: tuple[Any, Any]
    ) -> tuple[tuple[Carry, ...], jax.Array]:
        """One step of every layer; the upper layers' `project` cannot be hoisted here."""
        x, z = z
        after = []
        for index, (layer, p, c) in enumerate(zip(self.layers, params, carry, strict=True)):
            z = z if index == 0 else layer.project(p, x)
            c, h = layer.step(p, c, z)
            x = layer.readout(p, h, x)
            after.append(c)
        return tuple(after), x

    def unroll(
        self, params: tuple[Params, ...], xs: Any, carry: tuple[Carry, ...], method: Method
    ) -> tuple[tuple[Carry, ...], jax.Array]:
        """All steps of a layer before the next layer begins."""
        after = []
        for layer, p, c in zip(self.layers, params, carry, strict=True):
            c, xs = layer.unroll(p, xs, c, method)
            after.append(c)
        return tuple(after), xs


def stack(*layers: Cell) -> Stack:
    """A stack of cells, from the input up, is a cell.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Embedding(10, 4), rnn.GRU(4, 8), rnn.Dense(8, 10))
    >>> params = model.init(jax.random.key(0))
    >>> carry, logits = rnn.unroll(model, params, jnp.zeros((7, 2), jnp.int32))
    >>> logits.shape
    (7, 2, 10)

    Raises `ArgumentError` where there is no layer, where one is not a cell, and where a layer
    does not fit on the one below.
    """
    if not layers:
        raise ArgumentError("stack() needs at least one layer.")
    for index, layer in enumerate(layers):
        if not isinstance(layer, Cell):
            raise ArgumentError(f"stack: layer {index} is {layer!r}, which is not a rnn_jax.Cell.")
    model = Stack(layers)
    _check_fit(model)
    return model


def _check_fit(model: Stack) -> None:
    """Follow the shape of one step from layer to layer."""
    first = model.layers[0].input
    dtype = jnp.int32 if first.kind is jnp.integer else jnp.float32
    x = jax.ShapeDtypeStruct(first.shape, dtype)
    for index, layer in enumerate(model.layers):
        wanted = layer.input
        if x.shape != wanted.shape or not jnp.issubdtype(x.dtype, wanted.kind):
            raise ArgumentError(
                f"stack: layer {index}, {layer!r}, reads {_describe(wanted.shape, wanted.kind)} a "
                f"step, but layer {index - 1}, {model.layers[index - 1]!r}, emits "
                f"{_describe(x.shape, x.dtype)}."
            )
        x = jax.eval_shape(lambda x, layer=layer: _one_step(layer, x), x)


def _one_step(layer: Cell, x: Any) -> jax.Array:
    params = layer.init(jax.random.key(0))
    _, h = layer.step(params, layer.initial_carry(params), layer.project(params, x))
    return layer.readout(params, h, x)


def _describe(shape: tuple[int, ...], kind: Any) -> str:
    name = getattr(kind, "name", None) or kind.__name__
    return f"{shape} of {name}"
