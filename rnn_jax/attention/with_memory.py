"""A memory put beside the params of whatever reads one."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import array, count_of_steps, taken_tree
from rnn_jax.arguments.settings import Of
from rnn_jax.attention.attention import Attention, remember
from rnn_jax.cell import Layer, Params
from rnn_jax.checks import check_layer, check_mark, check_own_params
from rnn_jax.errors import DtypeError, ShapeError, StructureError
from rnn_jax.recurrence.memory import readers, remembering
from rnn_jax.recurrence.steps import select


def with_memory(
    cell: Layer, params: Params, memory: Any, *, lengths: Any = None, mask: Any = None
) -> Params:
    """The params with a memory beside those of every `Attention` inside: pure, and differentiable.

    The result is what `unroll`, `step`, `stream`, `export` and decoding take in place of the
    params; the optimiser keeps the params without it. The keys of the memory are made here, once,
    in one matmul for each attention. The gradient reaches the memory, and through it whatever made
    it, as that of any other argument:

        def loss(params):
            _, memory = rnn.unroll(encoder, params.encoder, source, lengths=lengths)
            decoding = with_memory(decoder, params.decoder, memory, lengths=lengths)
            _, logits = rnn.unroll(decoder, decoding, target)

    What the memory holds where there is no place, be it NaN, reaches no value and no gradient.

    Args:
      cell: An `Attention`, or any layer with one inside, however deep.
      params: Its params; a memory that they have already is replaced.
      memory: `(S, *batch, M)` of the dtype of the params, such as what an encoder emits. Its batch
        axes are the last batch axes of what the cell will read: axes before them, such as the
        beams of a search, share the memory, and a memory `(S, M)` is that of all sequences.
      lengths: `(*batch)` of integers from 0 to S, how many places each has; all S if None. Where
        one is out of range under jit, where nothing can be raised, what is read is NaN.
      mask: `(S, *batch)` of bool, false where there is no place.

    Raises:
      StructureError: No attention inside, or params of another cell.
      ShapeError, DtypeError: The memory, its lengths or its mask do not fit.
      ArgumentError: A length out of range.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.attention import Additive, Attention, attentive, with_memory
    >>> cell = attentive(rnn.GRU(3 + 6, 8), Attention(8, 6, Additive(5)))
    >>> params = cell.init(jax.random.key(0))
    >>> decoding = with_memory(cell, params, jnp.ones((9, 2, 6)), lengths=jnp.array([9, 4]))
    >>> rnn.unroll(cell, decoding, jnp.ones((7, 2, 3)))[1].shape
    (7, 2, 14)
    """
    check_layer("with_memory", cell)
    params = taken_tree(cell, "params", params)
    dtype = check_own_params(cell, params, memory)
    if not readers(params):
        raise StructureError(
            f"with_memory: nothing inside {cell!r} reads a memory; an Attention does, or a cell "
            "made by attentive."
        )
    values = _checked(cell, memory, dtype)
    places, *batch_shape = values.shape[:-1]
    mask = check_mark(cell, "mask", mask, values.shape[:-1], "(S, *batch)")
    valid = mask
    if lengths is not None:
        lengths = count_of_steps(
            Of(cell, "lengths"), lengths, tuple(batch_shape), 0, places, "the memory", "places"
        )
        place = jax.lax.broadcasted_iota(lengths.dtype, values.shape[:-1], 0)
        before_end = place < lengths[None]
        valid = before_end if mask is None else before_end & mask
    if valid is not None:
        values = select(valid, values, jnp.zeros_like(values))
    if lengths is not None:
        impossible = jnp.broadcast_to(lengths[None] < 0, values.shape[:-1])
        values = select(impossible, jnp.full_like(values, jnp.nan), values)
        valid = valid | impossible  # so that the NaN is seen
    valid = None if valid is None else valid.astype(dtype)
    return remembering(
        params, lambda reader: reader._replace(memory=remember(reader, values, valid))
    )


def _checked(cell: Layer, memory: Any, dtype: jnp.dtype) -> jax.Array:
    """The memory as an array, of the width that every attention inside reads."""
    memory = array(Of(cell, "memory"), memory)
    if memory.ndim < 2:
        raise ShapeError(f"{cell!r}: memory must have shape (S, *batch, M), got {memory.shape}.")
    for attention in attentions(cell):
        if memory.shape[-1] != attention.memory_size:
            raise ShapeError(
                f"{cell!r}: memory must have shape (S, *batch, {attention.memory_size}), for "
                f"{attention!r} reads it, got {memory.shape}."
            )
    if memory.dtype != dtype:
        raise DtypeError(
            f"{cell!r}: memory is {memory.dtype} but params are {dtype}, and nothing is promoted "
            f"silently; memory.astype({str(dtype)!r}) converts it."
        )
    return memory


def attentions(value: Any) -> Iterator[Attention]:
    """Every attention that is a setting of a layer, or of a layer among its settings."""
    if isinstance(value, Attention):
        yield value
    elif type(value) is tuple:
        for one in value:
            yield from attentions(one)
    elif isinstance(value, Layer) and dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from attentions(getattr(value, field.name))
