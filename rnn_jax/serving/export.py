"""A trained cell as programs that run without rnn_jax."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp

from rnn_jax.arguments.settings import flag, integer
from rnn_jax.cell import Layer, Params
from rnn_jax.checks import check_layer, check_params
from rnn_jax.devices.platform import traced_for
from rnn_jax.errors import ArgumentError
from rnn_jax.unroll import step, unroll

Size = int | str | Any
"""A number; or a size that is left open, by its name or as a symbol of `jax.export`."""


class ExportedCell(NamedTuple):
    """Two programs of `jax.export`, made by `export`; `serialize()` turns each into bytes."""

    start: jax.export.Exported
    """`start.call() -> carry`: the initial carry; `start.call(x)` where a batch axis is open."""
    run: jax.export.Exported
    """`run.call(x, carry) -> (carry, y)`: a step, or a block of steps, with its lengths."""


def export(
    cell: Layer,
    params: Params,
    batch_shape: Sequence[Size] = (),
    *,
    block: Size | None = None,
    lengths: bool = False,
    platforms: str | Sequence[str] | None = None,
) -> ExportedCell:
    """A trained cell as programs that run wherever JAX does, without rnn_jax or the model's code.

    The params are inside. The carry is made of dictionaries and tuples, so that a process that
    does not have its NamedTuples can hold it.

    A size that is given as a name is left open: one program runs for every batch, or for a block
    of every length, from 1 on. It is compiled where it runs, once for each size that it meets.

    Args:
      cell: A cell without noise, or any other such layer if `block` is given.
      params: Its params, as arrays: inside jit they are not known yet.
      batch_shape: The batch axes of a step: sizes, or names of sizes, such as `("b",)`. What
        `jax.export.symbolic_shape` makes is welcome too.
      block: How many steps `run` takes at once, on a leading axis, as a size or a name; None for
        a single step, without one.
      lengths: Whether `run` takes the lengths of padded sequences, int32 of the batch's shape,
        as a third argument: `run.call(xs, carry, lengths)`, for what `unroll` says of them.
      platforms: What to compile for, such as `("cpu", "cuda")`; where this runs if None. For one
        platform alone the loop is made as `BPTT` makes it there, for several as it does here.

    `serialize` needs the package flatbuffers (the extra `export`).

    Raises:
      ArgumentError: A cell with noise, a size that is none, lengths without a block, a platform
        that JAX does not have, or params that jit traces.
      StructureError: What is no layer, a layer without a single step and no block, or params of
        another layer.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LSTM(3, 4)
    >>> params = cell.init(jax.random.key(0))
    >>> start, run = rnn.export(cell, params)
    >>> data = run.serialize()  # bytes for a file; to load them needs JAX alone:
    >>> carry, y = jax.export.deserialize(data).call(jnp.ones(3), start.call())
    >>> sorted(carry), y.shape
    (['c', 'h'], (4,))

    >>> start, run = rnn.export(cell, params, ("b",), block="t", lengths=True)
    >>> for t, b in (7, 2), (50, 8):
    ...     xs = jnp.ones((t, b, 3))
    ...     carry, ys = run.call(xs, start.call(xs), jnp.full(b, t, jnp.int32))
    ...     ys.shape
    (7, 2, 4)
    (50, 8, 4)
    """
    dtype = _check(cell, params)
    lead, batch_shape = _sizes(block, batch_shape)
    here = (jax.export.default_export_platform(),)
    platforms = here if platforms is None else _platforms(platforms)
    if flag("export: lengths", lengths) and not lead:
        raise ArgumentError("export: lengths are those of a block of steps, and block is None.")
    shapes = jax.eval_shape(lambda: cell.initial_carry(params, batch_shape))
    structure = jax.tree.structure(shapes)
    shape, kind = cell.input
    dtype = jnp.dtype(jnp.int32) if kind is jnp.integer else dtype
    x = jax.ShapeDtypeStruct((*lead, *batch_shape, *shape), dtype)
    sizes = [x] if any(map(jax.export.is_symbolic_dim, batch_shape)) else []
    marks = [jax.ShapeDtypeStruct(batch_shape, jnp.int32)] if lengths else []

    def start(*sizes: Any) -> Any:
        del sizes  # read by `jax.export`, which then knows what batch_shape stands for
        return _plain(cell.initial_carry(params, batch_shape))

    def run(x: Any, carry: Any, lengths: Any = None) -> tuple[Any, jax.Array]:
        carry = jax.tree.unflatten(structure, _leaves(shapes, carry))
        if lead:
            carry, y = unroll(cell, params, x, carry, lengths=lengths)
        else:
            carry, y = step(cell, params, x, carry)  # type: ignore[arg-type]
        return _plain(carry), y

    return ExportedCell(
        _program(start, platforms, *sizes), _program(run, platforms, x, _plain(shapes), *marks)
    )


def _program(f: Callable[..., Any], platforms: tuple[str, ...], *arguments: Any) -> "_Program":
    # What several share is traced for where this runs.
    with traced_for(*platforms) if len(platforms) == 1 else contextlib.nullcontext():
        made = jax.export.export(jax.jit(f), platforms=platforms)(*arguments)
    return _Program(**{field.name: getattr(made, field.name) for field in fields(made)})


class _Program(jax.export.Exported):
    """A program whose `serialize` names the extra that installs flatbuffers."""

    def serialize(self, vjp_order: int = 0) -> bytearray:
        """The program as bytes, with derivatives up to `vjp_order`."""
        try:
            return super().serialize(vjp_order)
        except ImportError as error:
            raise ImportError(
                'serialize needs flatbuffers: pip install "scan-rnn[export]"'
            ) from error


def _check(cell: Layer, params: Params) -> Any:
    """The dtype of the params; raises where they cannot go inside a program."""
    check_layer("export", cell)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if isinstance(leaf, jax.core.Tracer):
            raise ArgumentError(
                f"export: params{jax.tree_util.keystr(path)} is traced, by jit or the like, so "
                "that its numbers are not known yet; call export outside, with arrays."
            )
    return check_params(cell, params, None)


def _sizes(block: Any, batch_shape: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The leading axes of a block and those of a batch, with one scope for all names."""
    if isinstance(batch_shape, str) or not isinstance(batch_shape, Iterable):
        raise ArgumentError(
            "export: batch_shape must be a tuple of sizes or names, such as "
            f"({batch_shape!r},), got {batch_shape!r}."
        )
    batch = tuple(batch_shape)
    given = filter(jax.export.is_symbolic_dim, (block, *batch))
    scope = next((size.scope for size in given), None) or jax.export.SymbolicScope()
    lead = () if block is None else (_size("export: block", block, 1, scope),)
    return lead, tuple(
        _size(f"export: batch_shape[{i}]", size, 0, scope) for i, size in enumerate(batch)
    )


def _size(name: str, value: Any, least: int, scope: jax.export.SymbolicScope) -> Any:
    """A number, or a symbol of `jax.export`."""
    found = integer(value)
    if found is not None and found >= least:
        return found
    dims: tuple[Any, ...] = (value,)
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            dims = tuple(jax.export.symbolic_shape(value, scope=scope))
    if len(dims) == 1 and jax.export.is_symbolic_dim(dims[0]):
        return dims[0]
    wanted = "a positive integer" if least else "an integer of 0 or more"
    raise ArgumentError(
        f"{name} must be {wanted}, or a name such as 'b' for a size that is left open, got "
        f"{value!r}."
    )


def _platforms(value: Any) -> tuple[str, ...]:
    """Platforms by name; one may come without a tuple around it."""
    several = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else (*value,)
    known = ("cpu", "cuda", "rocm", "tpu")
    for one in several:
        if one not in known and one != jax.export.default_export_platform():
            raise ArgumentError(
                f"export: platforms must be of {', '.join(map(repr, known))}, got {one!r}."
            )
    if not several:
        raise ArgumentError("export: platforms is empty; leave it out for where this runs.")
    return several


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
