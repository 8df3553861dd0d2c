"""Layers stacked on one another."""

import dataclasses
import itertools
from typing import Any, overload

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import instance, settle
from rnn_jax.cell import Carry, Cell, Input, Layer, Method, Params
from rnn_jax.combinators.fit import check_part, describe, fits, output
from rnn_jax.errors import ArgumentError
from rnn_jax.recurrence.steps import Steps


@dataclasses.dataclass(frozen=True)
class LayerStack(Layer):
    """Layers stacked on one another; each reads what the one below emits. Made by `stack`.

    Params and carry are tuples, one entry a layer. Unrolled layer by layer, so that each
    layer's `project` is one matmul over all steps.
    """

    layers: tuple[Any, ...]
    """From the layer that reads the input to the last."""

    def __post_init__(self) -> None:
        """Refuse what is no tuple of layers."""
        settle(self, layers=instance(tuple, " of layers"))
        if not self.layers:
            raise ArgumentError(f"{type(self).__name__}: layers must have at least one layer.")
        for index, layer in enumerate(self.layers):
            check_part(f"{type(self).__name__}: layers[{index}]", layer)

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
        """The initial carry of each layer."""
        return tuple(
            layer.initial_carry(p, batch_shape)
            for layer, p in zip(self.layers, params, strict=True)
        )

    def unroll(
        self,
        params: tuple[Params, ...],
        xs: Any,
        carry: tuple[Carry, ...],
        steps: Steps,
        method: Method,
    ) -> tuple[tuple[Carry, ...], jax.Array]:
        """Run each layer over all steps before the next layer."""
        after = []
        for index, (layer, p, c) in enumerate(zip(self.layers, params, carry, strict=True)):
            c, xs = layer.unroll(p, xs, c, steps.member(index), method)
            after.append(c)
        return tuple(after), xs


@dataclasses.dataclass(frozen=True)
class Stack(LayerStack, Cell):
    """A stack of cells, which is a cell: it can also step, through all layers at once."""

    def project(self, params: tuple[Params, ...], xs: Any) -> tuple[Any, Any]:
        """The inputs, which `readout` may need, and what the lowest layer makes of them."""
        return xs, self.layers[0].project(params[0], xs)

    def step(
        self, params: tuple[Params, ...], carry: tuple[Carry, ...], z: tuple[Any, Any]
    ) -> tuple[tuple[Carry, ...], jax.Array]:
        """One step of every layer; upper layers project inside, for they read the layer below."""
        x, z = z
        after = []
        for index, (layer, p, c) in enumerate(zip(self.layers, params, carry, strict=True)):
            z = z if index == 0 else layer.project(p, x)
            c, h = layer.step(p, c, z)
            x = layer.readout(p, h, x)
            after.append(c)
        return tuple(after), x


@overload
def stack(*layers: Cell) -> Stack: ...
@overload
def stack(*layers: Layer) -> LayerStack: ...
def stack(*layers: Layer) -> LayerStack:
    """Layers stacked on one another, from the input up; a stack of cells is a cell.

    With a layer among them that has no single step, such as a `bidirectional` one, the stack has
    none either: it is a `LayerStack`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Embedding(10, 4), rnn.GRU(4, 8), rnn.Dense(8, 10))
    >>> params = model.init(jax.random.key(0))
    >>> carry, logits = rnn.unroll(model, params, jnp.zeros((7, 2), jnp.int32))
    >>> logits.shape
    (7, 2, 10)

    Raises `ArgumentError` where there is no layer, where one is not a layer, and where a layer
    does not fit on the one below.
    """
    if not layers:
        raise ArgumentError("stack() needs at least one layer.")
    for index, layer in enumerate(layers):
        check_part(f"stack: layer {index}", layer)
    for index, (below, layer) in enumerate(itertools.pairwise(layers), start=1):
        emitted = output(below)
        if not fits(emitted, layer.input):
            raise ArgumentError(
                f"stack: layer {index}, {layer!r}, reads {describe(layer.input)} a step, but layer "
                f"{index - 1}, {below!r}, emits {describe(emitted)}."
            )
    kind = Stack if all(isinstance(layer, Cell) for layer in layers) else LayerStack
    return kind(layers)
