"""A layer over the devices of a mesh: along which axis each of its arrays is split."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, AxisType, Mesh, PartitionSpec

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Layer
from rnn_jax.checks import check_layer
from rnn_jax.errors import ArgumentError, ShapeError
from rnn_jax.noise import some_key
from rnn_jax.recurrence.axes import Axis, Named, axes
from rnn_jax.recurrence.steps import Steps
from rnn_jax.unroll import once

DATA, MODEL, TIME = "data", "model", "time"


class Placement(NamedTuple):
    """How the arrays of a layer are split: pytrees of `PartitionSpec`. Made by `placement`."""

    params: Any
    """Of what `init` returns."""
    carry: Any
    """Of what `initial_carry(params, (B,))` returns, a batch of one axis."""


def placement(layer: Layer, mesh: Mesh | AbstractMesh) -> Placement:
    """How to split a layer over the devices of a mesh, so that none holds all of it.

    The axis "model" of the mesh splits the hidden axis of every carry and, of each of the params,
    the axis whose units are those of a carry (all gates of `w_xh`, `w_hh` and `b_h`), the tokens
    of a table that is looked up, and the outputs of the last layer. Params without such an axis
    are split along the last one that divides, and vectors without it are whole. The axis "data"
    splits the batch. What the mesh lacks is not split. Which axis is which is read from the
    program of one step, so a cell of your own has nothing to declare.

    The result is a value of `PartitionSpec`, for `jax.jit` and `jax.device_put` under
    `jax.set_mesh(mesh)`:

        placed = rnn.placement(model, mesh)
        jax.set_mesh(mesh)
        params = jax.device_put(params, placed.params)
        step = jax.jit(step, in_shardings=(placed.params, P(None, "data")))

    Numbers are those of one device, to rounding, and so is the noise, for what is compiled is the
    same program, and XLA splits it. Cost: with M devices along "model", a device holds one Mth of
    params, gradients and state of the optimiser. A step of the loop gathers h `(B, H)` forward and
    adds up its cotangent `(B, H)` backward; where a cell has several gates side by side, it also
    moves the preactivations to the units that they belong to.

    Args:
      layer: A cell or any other layer.
      mesh: Its axes are `AxisType.Auto`, and one or more of them are called "data", "model" or
        "time", along which no params and no carry are split.

    Raises:
      StructureError: No layer.
      ArgumentError: No mesh, one without any of these axes, or one whose axes are Explicit, where
        XLA is not free to choose how each operation is split.
      ShapeError: A carry or a table that does not divide over the devices of "model" along any
        axis; the message names it.

    >>> import rnn_jax as rnn
    >>> from jax.sharding import AbstractMesh, AxisType
    >>> mesh = AbstractMesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    >>> placed = rnn.placement(rnn.LSTM(3, 8), mesh)
    >>> tuple(placed.params.w_hh), tuple(placed.carry.h)
    ((None, 'model'), ('data', 'model'))
    """
    check_layer("placement", layer)
    sizes = _axes_of(mesh)
    parts = sizes.get(MODEL, 1)
    params, carry, emitted = _read(layer)
    batch = PartitionSpec(DATA) if DATA in sizes else PartitionSpec()
    if parts == 1:
        whole = jax.tree.map(lambda _: PartitionSpec(), params, is_leaf=_is_named)
        return Placement(whole, jax.tree.map(lambda _: batch, carry, is_leaf=_is_named))

    leaves = jax.tree.leaves(carry, is_leaf=_is_named)
    chosen = [leaf.axes[place].one for leaf in leaves for place in _units(leaf, parts)[:1]]
    # What the last layer emits, if the loop does not sum over it: the scores of a softmax.
    outputs = [axis.one for axis in emitted.axes[2:][-1:] if not axis.one.is_summed]
    split = {*chosen, *outputs}

    def of_carry(path: Any, leaf: Named) -> PartitionSpec:
        for place in _units(leaf, parts):
            return PartitionSpec(*batch, *[None] * (place - len(batch)), MODEL)
        if any(leaf.shape[1:]):
            raise ShapeError(_refused(layer, "carry", path, ("*batch", *leaf.shape[1:]), parts))
        return batch

    def of_params(path: Any, leaf: Named) -> PartitionSpec:
        for place in _preferred(leaf, split):
            if _divides(leaf, place, parts):
                return PartitionSpec(*[None] * place, MODEL)
        if len(leaf.shape) > 1 and any(axis.one in split or axis.one.is_row for axis in leaf.axes):
            raise ShapeError(_refused(layer, "params", path, leaf.shape, parts))
        return PartitionSpec()

    # First, for a hidden axis that does not divide is what there is to say.
    of_all_carries = jax.tree.map_with_path(of_carry, carry, is_leaf=_is_named)
    return Placement(jax.tree.map_with_path(of_params, params, is_leaf=_is_named), of_all_carries)


def _units(leaf: Named, parts: int) -> list[int]:
    """The dimensions of a leaf of the carry that can be split, behind the batch."""
    return [place for place in range(1, len(leaf.shape)) if _divides(leaf, place, parts)]


def _divides(leaf: Named, place: int, parts: int) -> bool:
    # A carry has no places of a memory before there is one.
    return leaf.shape[place] > 0 and leaf.shape[place] % parts == 0


def _preferred(leaf: Named, split: set[Axis]) -> list[int]:
    """The dimensions of one of the params, the one to be split first; of a vector not every one."""
    last_first = range(len(leaf.shape))[::-1]
    rows = [place for place in last_first if leaf.axes[place].one.is_row]
    named = [place for place in last_first if leaf.axes[place].one in split]
    return [*rows, *named, *(last_first if len(leaf.shape) > 1 else ())]


def _is_named(x: Any) -> bool:
    return isinstance(x, Named)


def _read(layer: Layer) -> tuple[Any, Any, Named]:
    """The axes of params, carry and what is emitted, from the program of one step of two rows."""
    batch, dtype = (2,), jnp.int32 if layer.input.kind is jnp.integer else jnp.float32
    xs = jax.ShapeDtypeStruct((1, *batch, *layer.input.shape), dtype)
    params = jax.eval_shape(layer.init, some_key())
    carry = jax.eval_shape(lambda params: layer.initial_carry(params, batch), params)

    def step(params: Any, carry: Any, xs: Any, key: jax.Array) -> Any:
        after, ys = layer.unroll(params, xs, carry, Steps(key=key), once)
        return layer.initial_carry(params, batch), after, ys

    (params, carry, *_), (first, after, emitted) = axes(step, (params, carry, xs, some_key()))
    for other in (first, after):
        jax.tree.map(Named.join, carry, other, is_leaf=_is_named)
    return params, carry, emitted


def _axes_of(mesh: Any) -> dict[str, int]:
    if not isinstance(mesh, Mesh | AbstractMesh):
        raise ArgumentError(
            f"placement: mesh must be a Mesh or AbstractMesh, as jax.make_mesh makes it, got "
            f"{short(mesh)}."
        )
    if not {DATA, MODEL, TIME} & set(mesh.axis_names):
        raise ArgumentError(
            f"placement: an axis of mesh must be called {DATA!r} or {MODEL!r}, got "
            f"{mesh.axis_names}."
        )
    if any(kind is not AxisType.Auto for kind in mesh.axis_types):
        raise ArgumentError(
            f"placement: all axes of mesh must be Auto, got {mesh!r}; jax.make_mesh(sizes, names, "
            f"axis_types=(AxisType.Auto,) * {len(mesh.axis_names)}) makes them so."
        )
    return dict(mesh.shape)


def _refused(layer: Layer, what: str, path: Any, shape: tuple[Any, ...], parts: int) -> str:
    return (
        f"placement: {layer!r}: {what}{jax.tree_util.keystr(path)} has shape "
        f"({', '.join(map(str, shape))}), and no axis of it divides over the {parts} devices of "
        f"{MODEL!r}; make one a multiple of {parts}, or take fewer devices."
    )
