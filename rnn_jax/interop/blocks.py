"""Arrays of theirs to params of ours and back: blocks are moved, turned, summed, and no more.

On NumPy's arrays it is NumPy that moves them, on JAX's, traced ones too, it is JAX: so what is read
can be differentiated, and nothing is compiled where nobody asks for it.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.errors import StructureError
from rnn_jax.interop.layout import Array, Layout, Own, Piece

Arrays = Mapping[str, Any]
Blocks = dict[tuple[str, str], Any]


def one_kind(arrays: Arrays) -> Arrays:
    """All as arrays of NumPy; or all as JAX's, where JAX traces one of them."""
    traced = any(isinstance(array, jax.core.Tracer) for array in arrays.values())
    return {name: (jnp if traced else np).asarray(array) for name, array in arrays.items()}


def params_of(layout: Layout, sizes: Mapping[str, int], arrays: Arrays) -> Any:
    """Our params, from arrays that fit."""
    found: Blocks = {}
    for array in layout.arrays:
        if array.name in arrays:
            for piece, block in _cut(layout.own, array, sizes, arrays[array.name]):
                block = _signed(piece, block)
                block = block + _offset(piece, block) if piece.offset else block
                found[piece.key] = found[piece.key] + block if piece.key in found else block
    like = next(iter(arrays.values()))
    zeros = like.__array_namespace__().zeros
    fields = []
    for field in layout.own.fields:
        shape = tuple(sizes[symbol] for symbol in field.shape)
        each = (found.get((field.name, gate)) for gate in field.gates)
        whole = _joined([zeros(shape, dtype=like.dtype) if b is None else b for b in each], -1)
        fields.append(jnp.array(whole))  # a copy: theirs may be trained further, in place
    return layout.own.params(*fields)


def arrays_of(layout: Layout, params: Any, where: str) -> dict[str, Any]:
    """Their arrays, from our params. `where` names the cell in errors."""
    blocks: Blocks = {}
    whole = one_kind(params._asdict())
    for field in layout.own.fields:
        width = whole[field.name].shape[-1] // len(field.gates)
        for index, gate in enumerate(field.gates):
            block = whole[field.name][..., index * width : (index + 1) * width]
            blocks[field.name, gate] = block
    left = dict(blocks)

    def held(piece: Piece) -> Any:
        """What an array holds of a piece: all of it, if it is the first that does."""
        block = left.pop(piece.key, None)
        if block is None:
            # The negative zero, for x + -0.0 is x, to the bit, whatever x is.
            return -blocks[piece.key].__array_namespace__().zeros_like(blocks[piece.key])
        return _signed(piece, block - _offset(piece, block) if piece.offset else block)

    found = {
        array.name: _whole(
            array, [_joined([held(piece) for piece in row], -1) for row in array.rows]
        )
        for array in layout.arrays
    }
    for (name, gate), block in left.items():
        _check_zero(layout, f"{name}{gate and f' at {gate}'}", block, where)
    return found


def _cut(own: Own, array: Array, sizes: Mapping[str, int], whole: Any) -> Any:
    """Each piece of an array, with its block."""
    whole = whole.T if array.transposed else whole
    flat = whole.ndim == 1
    top = 0
    for row in array.rows:
        *above, _ = own.shape(row[0].field)
        height, left = sizes[above[0]] if above else 1, 0
        for piece in row:
            width = sizes[own.shape(piece.field)[-1]]
            block = (
                whole[left : left + width]
                if flat
                else whole[top : top + height, left : left + width]
            )
            yield piece, block if above or flat else block[0]
            left += width
        top += height


def _whole(array: Array, rows: list[Any]) -> Any:
    """The array of these rows, in memory of its own and of one piece, as files want it."""
    if len(rows) > 1:
        rows = [row if row.ndim > 1 else row[None] for row in rows]
    whole = _joined(rows, 0)
    whole = whole.T if array.transposed else whole
    return np.array(whole, order="C") if isinstance(whole, np.ndarray) else whole


def _joined(blocks: list[Any], axis: int) -> Any:
    if len(blocks) == 1:
        return blocks[0]
    return blocks[0].__array_namespace__().concat(blocks, axis=axis)


def _signed(piece: Piece, block: Any) -> Any:
    return -block if piece.sign < 0 else block


def _offset(piece: Piece, like: Any) -> Any:
    return np.asarray(piece.offset, like.dtype)


def _check_zero(layout: Layout, what: str, block: Any, where: str) -> None:
    if isinstance(block, jax.core.Tracer):
        raise StructureError(
            f"{where}: {layout.peer} has no {what}, which must therefore be zero, and under jit or "
            "grad nobody can tell whether it is; write outside of it."
        )
    if np.any(block):
        raise StructureError(f"{where}: {what} must be zero, for {layout.absent}.")
