"""Layers stacked on one another."""

import dataclasses
import itertools
from typing import Any, NamedTuple, overload

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import instance, settle
from rnn_jax.cell import Carry, Cell, Input, Layer, Method, Params
from rnn_jax.combinators.fit import check_part, describe, fits, output
from rnn_jax.devices.sharding import split_like
from rnn_jax.errors import ArgumentError
from rnn_jax.noise import drawn_around
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


class _Drawn(NamedTuple):
    """Inputs with the noise of every layer, for a stack that is run step by step."""

    xs: Any
    """What the lowest layer reads, with its noise."""
    above: tuple[Any, ...]
    """For each layer a `Hollow` that what it reads is put into; None where it draws nothing."""


@dataclasses.dataclass(frozen=True)
class Stack(LayerStack, Cell):
    """A stack of cells, which is a cell: it can also step, through all layers at once."""

    def draw(self, params: tuple[Params, ...], xs: Any, steps: Steps) -> tuple[Any, Any]:
        """The noise of every layer, drawn for a cell that calls this one within its loop."""
        if self.deterministic() == self:
            return params, xs
        lowest, *rest = self.layers
        own, drawn = lowest.draw(params[0], xs, steps.member(0))
        all_params, above = [own], [None]
        lead = xs.shape[: xs.ndim - len(self.input.shape)]
        dtype = jax.tree.leaves(params)[0].dtype
        for index, layer in enumerate(rest, start=1):
            like = split_like(jnp.zeros((*lead, *layer.input.shape), dtype), xs, 0, len(lead))
            own, noise = drawn_around(layer, params[index], like, steps.member(index))
            all_params.append(own)
            above.append(noise)
        return tuple(all_params), _Drawn(drawn, tuple(above))

    def project(self, params: tuple[Params, ...], xs: Any) -> Any:
        """What `readout` may need, what the lowest layer makes of it, and the noise above."""
        drawn = xs if isinstance(xs, _Drawn) else _Drawn(xs, (None,) * len(self.layers))
        return drawn, self.layers[0].project(params[0], drawn.xs)

    def step(
        self, params: tuple[Params, ...], carry: tuple[Carry, ...], z: Any
    ) -> tuple[tuple[Carry, ...], jax.Array]:
        """One step of every layer; upper layers project inside, for they read the layer below."""
        (x, above), z = z
        after = []
        for index, (layer, p, c) in enumerate(zip(self.layers, params, carry, strict=True)):
            x = x if above[index] is None else above[index].filled(x)
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
