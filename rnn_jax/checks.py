"""Compare what a user hands over with what the cell needs; an error says the difference.

The checks run while JAX traces: a compiled program contains none of them.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import array, count_of_steps, is_array, one_key
from rnn_jax.arguments.settings import Of, flag, integer, one_method, short
from rnn_jax.arguments.trees import difference, form
from rnn_jax.cell import Carry, Layer, Method, Params
from rnn_jax.devices.sharding import split
from rnn_jax.errors import ArgumentError, DtypeError, ShapeError, StructureError
from rnn_jax.noise import missing_key, some_key
from rnn_jax.recurrence.beside import bare, has_room
from rnn_jax.recurrence.memory import readers


def check_layer(caller: str, layer: Any, kind: type = Layer) -> None:
    """Raise where the first argument of `caller` is no layer, or no cell, or no value."""
    if isinstance(layer, kind):
        _check_hashable(caller, layer)
        return
    if isinstance(layer, Layer):
        raise StructureError(
            f"{caller}: the first argument must be a Cell, and {layer!r} has no single step, for "
            "it needs steps that are still to come; unroll runs it over a whole sequence."
        )
    raise StructureError(
        f"{caller}: the first argument must be a {kind.__name__}, got {short(layer)}."
    )


def _check_hashable(caller: str, layer: Any) -> None:
    try:
        hash(layer)
    except TypeError as error:
        raise StructureError(
            f"{caller}: the settings of {type(layer).__name__} must be hashable, for they are part "
            f"of what is compiled, and one is not: {error}. An array belongs among the params, and "
            "a list can be a tuple."
        ) from None


def check_params(layer: Layer, params: Params, xs: Any) -> jnp.dtype:
    """The one dtype of all params; raises where they are not params of `layer`, ready to run.

    A layer without params, such as `Dropout`, takes that of floating inputs.
    """
    dtype = check_own_params(layer, params, xs)
    for path, reader in readers(params) if _attends(layer) else ():
        if reader.memory is None:
            raise StructureError(
                f"{layer!r}: params{path} has no memory to attend to; put one beside the params: "
                "params = rnn_jax.attention.with_memory(cell, params, memory, lengths=...)."
            )
        for leaf in jax.tree.leaves(reader.memory):
            if _dtype(leaf) != dtype:
                raise DtypeError(
                    f"{layer!r}: the memory at params{path} is {leaf.dtype} but params are "
                    f"{dtype}; optax.tree.cast(params, {str(dtype)!r}) casts it too."
                )
    return dtype


def check_own_params(layer: Layer, params: Params, xs: Any) -> jnp.dtype:
    """The same for params without what is put beside them."""
    if _has_room(layer):
        _check_arrays(layer, "params", params)
        params = bare(params)
    if not jax.tree.leaves(params) and not jax.tree.leaves(_params(layer)):
        dtype = _dtype(xs) if is_array(xs) else jnp.dtype(jnp.float32)
        return dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.dtype(jnp.float32)
    expected = _params(layer)
    advice = "make params by cell.init(key)"
    _check_structure(layer, "params", expected, params, advice)
    dtypes: dict[jnp.dtype, str] = {}
    for path, want, leaf in _pairs(expected, params):
        _check_shape(layer, f"params{path}", want.shape, leaf, advice)
        dtypes.setdefault(_dtype(leaf), path)
    if len(dtypes) > 1:
        found = ", ".join(f"{dtype} at params{path}" for dtype, path in dtypes.items())
        raise DtypeError(
            f"{layer!r}: params must share one dtype, got {found}. "
            "optax.tree.cast(params, dtype) casts them all."
        )
    (dtype,) = dtypes
    if not jnp.issubdtype(dtype, jnp.floating):
        raise DtypeError(f"{layer!r}: params must be floating, got {dtype}.")
    return dtype


def check_memory(layer: Layer, params: Params, batch_shape: tuple[int, ...]) -> None:
    """Raise where a memory beside the params is that of another batch."""
    for path, reader in readers(params) if _attends(layer) else ():
        batch = reader.memory.values.shape[1:-1] if reader.memory else ()
        if batch != batch_shape[len(batch_shape) - len(batch) :]:
            raise ShapeError(
                f"{layer!r}: the memory at params{path} is that of a batch {batch}, but what is "
                f"read has the batch axes {batch_shape}, which must end with those of the memory."
            )


def check_input(
    layer: Layer, name: str, xs: Any, dtype: jnp.dtype, axes: int, in_one_piece: int | None = None
) -> tuple[int, ...]:
    """The batch axes of an input whose first `axes` axes are time.

    On a mesh the first `in_one_piece` axes may not be split over devices: time, unless said.
    """
    wanted = layer.input
    if not is_array(xs):
        carry = _carry(layer, (), *_form(_params(layer), dtype))
        is_carry = xs is None or difference(carry, xs) is None
        advice = (
            f"a carry, or None for a new one, is the argument after {name}: (..., {name}, carry)"
            if is_carry
            else "jnp.asarray makes one of a list"
        )
        raise StructureError(f"{layer!r}: {name} must be an array, got {short(xs)}; {advice}.")
    lead = ("T",) * axes + ("*batch",)
    expected = f"({', '.join((*lead, *map(str, wanted.shape)))})"
    last = len(xs.shape) - len(wanted.shape)
    if last < axes or tuple(xs.shape[last:]) != wanted.shape:
        raise ShapeError(
            f"{layer!r}: {name} must have shape {expected}, got {tuple(xs.shape)}. "
            + ("Time is axis 0, then batch axes." if axes else "One step has no time axis.")
        )
    if not jnp.issubdtype(xs.dtype, wanted.kind):
        raise DtypeError(
            f"{layer!r}: {name} must be {wanted.kind.__name__}, got {xs.dtype}; "
            f"{name}.astype converts it."
        )
    if wanted.kind is jnp.floating and _dtype(xs) != dtype:
        raise DtypeError(
            f"{layer!r}: {name} is {xs.dtype} but params are {dtype}, and nothing is promoted "
            f"silently. Cast one: {name}.astype({str(dtype)!r}), or optax.tree.cast(params, "
            f"{str(xs.dtype)!r}) inside the loss, which keeps the gradient in {dtype}."
        )
    free = range(axes if in_one_piece is None else in_one_piece, last)
    apart = [i for i, axis in enumerate(split(xs)) if axis is not None and i not in free]
    if apart:
        allowed = "only batch axes" if free.start == axes else "only time and batch axes"
        raise ShapeError(
            f"{layer!r}: axis {apart[0]} of {name} is split over devices, {split(xs)}, but "
            f"{allowed} may be; jax.reshard splits it anew."
        )
    return tuple(xs.shape[axes:last])


def check_carry(
    layer: Layer, params: Params, carry: Carry, batch_shape: tuple[int, ...], dtype: jnp.dtype
) -> None:
    """Raise where `carry` is not a carry of `layer` for this batch."""
    expected = _carry(layer, batch_shape, *_form(params, dtype))
    advice = f"make one by cell.initial_carry(params, batch_shape={batch_shape})"
    _check_structure(layer, "carry", expected, carry, advice)
    for path, want, leaf in _pairs(expected, carry):
        _check_shape(layer, f"carry{path}", want.shape, leaf, advice)
        if _dtype(leaf) != want.dtype:
            raise DtypeError(
                f"{layer!r}: carry{path} must be {want.dtype}, got {leaf.dtype}; {advice}."
            )


def check_steps(
    layer: Layer, length: int, batch_shape: tuple[int, ...], lengths: Any, mask: Any, reset: Any
) -> tuple[jax.Array | None, jax.Array | None, jax.Array | None]:
    """Lengths, mask and reset as arrays; raises where they are not for this batch of sequences."""
    every = (length, *batch_shape)
    mask = check_mark(layer, "mask", mask, every, "(T, *batch)")
    reset = check_mark(layer, "reset", reset, every, "(T, *batch)")
    if lengths is not None:
        lengths = count_of_steps(Of(layer, "lengths"), lengths, batch_shape, 0, length, "xs")
    return lengths, mask, reset


def check_mark(
    layer: Layer, name: str, mark: Any, shape: tuple[int, ...], form: str, kind: Any = jnp.bool
) -> jax.Array | None:
    """A mark of each step, or of each sequence, as an array; raises for a wrong shape or dtype."""
    if mark is None:
        return None
    # A list is allowed, and checked as the array that it makes.
    mark = array(Of(layer, name), mark)
    if mark.shape != shape:
        raise ShapeError(f"{layer!r}: {name} must have shape {form} = {shape}, got {mark.shape}.")
    if not jnp.issubdtype(mark.dtype, kind):
        raise DtypeError(
            f"{layer!r}: {name} must be {kind.__name__}, got {mark.dtype}; "
            f"{name}.astype converts it."
        )
    return mark


def check_key(layer: Layer, key: Any) -> None:
    """Raise where `layer` is random and the key is missing, or the key is not one."""
    if key is None:
        place = _random_place(layer, "")
        if place is not None:
            raise missing_key(f"{layer!r}: {place}")
        return
    one_key(Of(layer, "key"), key)


def check_way(layer: Layer, method: Method, reverse: bool, t: Any) -> None:
    """Raise where the method, the direction, or the number of the first step is not valid."""
    one_method(Of(layer, "method"), method)
    flag(Of(layer, "reverse"), reverse)
    check_number(layer, t)


def check_number(layer: Layer, t: Any) -> None:
    """Raise where t is not the number of a step."""
    traced = isinstance(t, jax.core.Tracer) and t.shape == ()
    if traced and jnp.issubdtype(t.dtype, jnp.integer):
        return
    number = None if traced else integer(t)
    if number is None or number < 0:
        raise ArgumentError(
            f"{layer!r}: t, the number of the step, must be an integer of 0 or more, got "
            f"{short(t)}."
        )


@functools.lru_cache(maxsize=256)
def _random_place(layer: Layer, path: str) -> str | None:
    """The path to the first random layer, which is this one or inside it."""
    if layer.deterministic() == layer:
        return None
    for field in dataclasses.fields(layer):  # type: ignore[arg-type]
        value = getattr(layer, field.name)
        several = value if type(value) is tuple else (value,)
        for index, member in enumerate(several):
            if isinstance(member, Layer):
                at = f"[{index}]" if several is value else ""
                place = _random_place(member, f"{path}.{field.name}{at}")
                if place is not None:
                    return place
    return f"{path.lstrip('.')}, {layer!r}," if path else "it"


def _dtype(x: Any) -> jnp.dtype:
    """The dtype that JAX gives the array: with x64 off, NumPy's float64 becomes float32."""
    return jax.dtypes.canonicalize_dtype(x.dtype)


@functools.lru_cache(maxsize=256)
def _params(layer: Layer) -> Params:
    return jax.eval_shape(layer.init, some_key())


@functools.lru_cache(maxsize=256)
def _has_room(layer: Layer) -> bool:
    """Whether something may stand beside its params."""
    return has_room(_params(layer))


@functools.lru_cache(maxsize=256)
def _attends(layer: Layer) -> bool:
    """Whether something inside reads a memory: found out once, for `step` is called often."""
    return bool(readers(_params(layer)))


def _form(params: Params, dtype: jnp.dtype) -> tuple[Any, tuple[Any, ...]]:
    """Params as a key of a table: what an initial carry may depend on, apart from numbers."""
    leaves, structure = jax.tree.flatten(params)
    return structure, tuple(jax.ShapeDtypeStruct(leaf.shape, dtype) for leaf in leaves)


@functools.lru_cache(maxsize=256)
def _carry(
    layer: Layer, batch_shape: tuple[int, ...], structure: Any, leaves: tuple[Any, ...]
) -> Carry:
    params = jax.tree.unflatten(structure, leaves)
    return jax.eval_shape(lambda p: layer.initial_carry(p, batch_shape), params)


def _pairs(expected: Any, tree: Any) -> list[tuple[str, Any, Any]]:
    leaves = jax.tree.leaves(tree)
    paths = jax.tree_util.tree_leaves_with_path(expected)
    return [
        (jax.tree_util.keystr(path), want, leaf)
        for (path, want), leaf in zip(paths, leaves, strict=True)
    ]


def _check_structure(layer: Layer, name: str, expected: Any, tree: Any, advice: str) -> None:
    found = difference(expected, tree)
    if found is not None:
        got = found.got
        if found.path:
            at = f"{name}{found.path}"
            got = f"{form(tree)}; at {at} expected {found.expected}, got {found.got}"
        raise StructureError(
            f"{layer!r}: expected {name} of the form {form(expected)}, got {got}; {advice}."
        )
    _check_arrays(layer, name, tree)


def _check_arrays(layer: Layer, name: str, tree: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not is_array(leaf):
            place = f"{name}{jax.tree_util.keystr(path)}"
            raise StructureError(f"{layer!r}: {place} must be an array, got {short(leaf)}.")


def _check_shape(
    layer: Layer, name: str, expected: tuple[int, ...], leaf: Any, advice: str
) -> None:
    if tuple(leaf.shape) != tuple(expected):
        raise ShapeError(
            f"{layer!r}: {name} must have shape {tuple(expected)}, got {tuple(leaf.shape)}; "
            f"{advice}."
        )
