"""Streams without end, and a cell that leaves for where there is no rnn_jax."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp

from rnn_jax.arguments import positive
from rnn_jax.cell import Carry, Layer, Method, Params
from rnn_jax.checks import check_input, check_params
from rnn_jax.methods.bptt import BPTT
from rnn_jax.unroll import step, unroll


def stream(
    cell: Layer,
    params: Params,
    xs: Iterable[Any],
    carry: Carry | None = None,
    *,
    block: int = 64,
    method: Method = BPTT(),
) -> Iterator[tuple[Carry, jax.Array]]:
    """Feed an iterator of steps, endless or not, to `cell`, a block of steps at a time.

    The carry passes from block to block, so that the outputs are those of one `unroll`. Compiled
    once; once more for the rest of a stream that ends within a block.

    Args:
      cell: A cell without noise.
      params: Its params.
      xs: Yields what one step reads, `(*batch, D)`.
      carry: Where to start; `cell.initial_carry` if None.
      block: How many steps are waited for, stacked and run at once. 1 has the least delay, more
        are cheaper: the input's part of the work becomes one matmul a block.
      method: How to go through time.

    Yields:
      `(carry, ys)` after each block: ys `(block, *batch, ...)`.

    Raises:
      ArgumentError: A block that is not a positive integer; what `unroll` raises, at the first
        block.

    >>> import itertools, jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(1, 4)
    >>> sensor = (jnp.sin(t / 5) * jnp.ones(1) for t in itertools.count())
    >>> outputs = rnn.stream(cell, cell.init(jax.random.key(0)), sensor, block=8)
    >>> carry, ys = next(outputs)
    >>> carry, ys = next(outputs)
    >>> ys.shape
    (8, 4)
    """
    block = positive("block", block)
    return _blocks(cell, params, iter(xs), carry, block, method)


def _blocks(
    cell: Layer, params: Params, xs: Iterator[Any], carry: Carry, block: int, method: Method
) -> Iterator[tuple[Carry, jax.Array]]:
    while steps := list(itertools.islice(xs, block)):
        if carry is None:  # made here, so that the first block is no program of its own
            dtype = check_params(cell, params, steps[0])
            carry = cell.initial_carry(params, check_input(cell, "x", steps[0], dtype, axes=0))
        carry, ys = _unroll(cell, method, params, steps, carry)
        yield carry, ys


@functools.partial(jax.jit, static_argnums=(0, 1))
def _unroll(
    cell: Layer, method: Method, params: Params, steps: list[Any], carry: Carry
) -> tuple[Carry, jax.Array]:
    # Stacked in here: with its one step stacked eagerly a block took 313 microseconds, not 140.
    return unroll(cell, params, jnp.stack(steps), carry, method=method)


class ExportedCell(NamedTuple):
    """Two programs of `jax.export`, made by `export`; `serialize()` turns each into bytes."""

    start: jax.export.Exported
    """`start.call() -> carry`: the initial carry."""
    run: jax.export.Exported
    """`run.call(carry, x) -> (carry, y)`: a step, or a block of steps."""


def export(
    cell: Layer,
    params: Params,
    batch_shape: tuple[int, ...] = (),
    *,
    block: int | None = None,
    platforms: Sequence[str] | None = None,
) -> ExportedCell:
    """A trained cell as programs that run wherever JAX does, without rnn_jax or the model's code.

    The params are inside. The carry is made of dictionaries and tuples, so that a process that
    has never heard of its NamedTuples can hold it.

    Args:
      cell: A cell without noise, or any other such layer if `block` is given.
      params: Its params.
      batch_shape: The batch axes of a step.
      block: How many steps `run` takes at once, on a leading axis; None for a single step, without
        one.
      platforms: What to compile for, such as `("cpu", "cuda")`; where this runs if None.

    `serialize` needs the package flatbuffers (the extra `export`).

    Raises:
      ArgumentError: A cell with noise, a block that is not a positive integer.
      StructureError: A layer without a single step and no block.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LSTM(3, 4)
    >>> start, run = rnn.export(cell, cell.init(jax.random.key(0)))
    >>> data = run.serialize()  # bytes for a file; to load them needs JAX alone:
    >>> carry, y = jax.export.deserialize(data).call(start.call(), jnp.ones(3))
    >>> sorted(carry), y.shape
    (['c', 'h'], (4,))
    """
    if block is not None:
        block = positive("block", block)
    shapes = jax.eval_shape(lambda: cell.initial_carry(params, batch_shape))
    structure = jax.tree.structure(shapes)

    def start() -> Any:
        return _plain(cell.initial_carry(params, batch_shape))

    def run(carry: Any, x: Any) -> tuple[Any, jax.Array]:
        carry = jax.tree.unflatten(structure, _leaves(shapes, carry))
        if block is None:
            carry, y = step(cell, params, carry, x)  # type: ignore[arg-type]
        else:
            carry, y = unroll(cell, params, x, carry)
        return _plain(carry), y

    dtypes = {leaf.dtype for leaf in jax.tree.leaves(params)} or {jnp.dtype(jnp.float32)}
    shape, kind = cell.input
    lead = () if block is None else (block,)
    dtype = jnp.int32 if kind is jnp.integer else dtypes.pop()
    x = jax.ShapeDtypeStruct((*lead, *batch_shape, *shape), dtype)
    return ExportedCell(
        jax.export.export(jax.jit(start), platforms=platforms)(),
        jax.export.export(jax.jit(run), platforms=platforms)(_plain(shapes), x),
    )


def _plain(tree: Any) -> Any:
    """NamedTuples as dictionaries."""
    if hasattr(tree, "_fields"):
        return {name: _plain(leaf) for name, leaf in zip(tree._fields, tree, strict=True)}
    return tuple(map(_plain, tree)) if isinstance(tree, tuple) else tree


def _leaves(like: Any, plain: Any) -> list[Any]:
    """The leaves of a carry that `_plain` made, in the order of the NamedTuples it came from."""
    if hasattr(like, "_fields"):
        plain = tuple(plain[name] for name in like._fields)
    if isinstance(like, tuple):
        return [leaf for one, p in zip(like, plain, strict=True) for leaf in _leaves(one, p)]
    return [plain]
