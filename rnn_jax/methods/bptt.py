"""Backpropagation through time that stores only carries and collects the weight gradients.

The loop's tangent splits in two. What the params and the inputs contribute to each step does not
depend on the steps before, so it is worked out for a chunk of steps at once; what is left for the
loop is the tangent of the carry, the solution of a linear recurrence. JAX transposes this into
BPTT: backward in time runs only the cotangent of the carry, and each weight gradient is one matmul
over the rows of a chunk.

As the rule is a tangent and made of differentiable parts, forward mode, reverse mode and any
order of both follow from it.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim
from jax.tree_util import Partial

from rnn_jax.arguments.settings import at_least, integer, optional, positive, settle
from rnn_jax.cell import Carry, Cell, Params, SplitCell
from rnn_jax.devices.sharding import zeros
from rnn_jax.errors import ArgumentError, DtypeError
from rnn_jax.methods.linear_recurrence import after_last, before_each, solve
from rnn_jax.methods.tangents import jvp, moving
from rnn_jax.recurrence.padding import marked
from rnn_jax.recurrence.steps import Steps

BRANCHES = 8
"""How many stretches of a level make one of the next, where the levels are nested."""
CHUNK_BYTES = 2**20
"""How many bytes of preactivations a chunk has: enough for matmuls at full speed, and in cache."""
FEWEST, MOST = 16, 256
"""Steps of a chunk, whatever its bytes: fewer repeat the work of a chunk, more keep it waiting."""


@dataclasses.dataclass(frozen=True)
class BPTT:
    """Backpropagation through time, the default method.

    Memory of a gradient: the carries and their cotangents, `(T, *batch, H)` each, one chunk, and
    up to `store` bytes of preactivations; where they are more, they are computed again, a chunk
    at a time. Time beyond the loop's own matmuls: one matmul a weight over each chunk's rows for
    its gradient, and one for preactivations that are computed again. An `Elman` of tanh or ReLU
    needs none of them. A cell whose step does not split into `recur` and `update` computes its
    step again inside the backward loop. Sources: Werbos, Proc. IEEE 78, 1990; collecting the
    weight gradients: Appleyard, Kocisky & Blunsom, 2016, arXiv:1604.01946; storing only carries:
    Gruslys et al., NeurIPS 2016.

    Raises `ArgumentError` for a `chunk` that is not a positive integer, and `DtypeError` for a
    cell whose carry is not floating; `Scan` takes such a cell.
    """

    chunk: int | None = None
    """How many steps are worked on at once; T need not be a multiple.

    None takes about as many as have a MiB of preactivations, but about 16 at least and 256 at most,
    in parts that are as equal as T allows: 64 for an LSTM of 64 units at batch 16, 16 for one of
    256 at batch 32, and 18 of 35 steps.

    Of what `jax.export` leaves open: a batch takes 16, as a large one would, and has nothing kept
    in `store`; a length is one chunk, whatever is asked for, as is a loop of `Scan`.
    """
    checkpoint: int | str | None = None
    """Which carries are kept for the gradient; the others are computed again from them.

    None keeps all T. An integer k keeps every k-th and those of one stretch of k steps, T/k + k in
    all, for one more forward pass; "sqrt" chooses k near the root of T, which is least. "log" keeps
    8 in each of `log_8(T / chunk)` nested levels, for a forward pass a level. What the cell emits
    is stored as ever, where the loss reads it. Sources: Chen et al., 2016, arXiv:1604.06174;
    Griewank, Optimization Methods and Software 1, 1992.
    """

    store: int = 64 * 2**20
    """How many bytes of preactivations may be kept for the gradient of a stretch of carries.

    Kept, they are not computed again, which would be two of the eight matmuls of a training step;
    where all of a stretch do not fit, none is kept. 0 keeps none ever.
    """

    def __post_init__(self) -> None:
        """Refuse a chunk without steps."""
        settle(self, chunk=optional(positive), store=at_least(0), checkpoint=_checkpoint)

    def __call__(
        self, cell: Cell, params: Params, xs: Any, carry: Carry, steps: Steps = Steps()
    ) -> tuple[Carry, jax.Array]:
        """Run the loop, a chunk of steps at a time."""
        _check_differentiable(cell, carry)
        cell, params, xs = marked(cell, params, xs, steps)
        if isinstance(cell, SplitCell):
            return self._run(cell, params, carry, xs)
        whole = _Whole(cell)
        end, hs = self._run(whole, params, whole.start(params, carry, xs), xs)
        return end.carry, hs

    def _run(
        self, cell: "SplitCell | _Whole", params: Params, carry: Carry, xs: Any
    ) -> tuple[Carry, jax.Array]:
        size = _bytes_of_a_step(cell, params, carry, xs)
        plan = _Plan(self.chunk or _equal_parts(_steps(xs), size), self.store)

        def run(carry: Carry, xs: Any) -> tuple[Carry, jax.Array]:
            return _loop(cell, _emitted, plan, params, carry, xs)

        for stretch in self._stretches(_steps(xs), plan.chunk):
            run = functools.partial(_scan_chunks, jax.checkpoint(run), stretch)
        return run(carry, xs)

    def _stretches(self, steps: int, chunk: int) -> list[int]:
        """How many steps lie between the carries that are kept, level by level, from within."""
        if self.checkpoint is None:
            return []
        if is_symbolic_dim(steps):
            raise ArgumentError(
                f"BPTT: checkpoint={self.checkpoint!r} needs a number of steps, but the length of "
                f"xs is left open, {steps}; leave checkpoint out, or export for one length."
            )
        if self.checkpoint == "sqrt":
            # In whole chunks, so that a stretch has no rest.
            return [-(-math.isqrt(steps) // chunk) * chunk or 1]
        if self.checkpoint == "log":
            levels = (chunk * BRANCHES**level for level in itertools.count(1))
            return list(itertools.takewhile(lambda stretch: stretch < steps, levels))
        return [int(self.checkpoint)]


def _checkpoint(name: str, value: Any) -> int | str | None:
    known = value is None or (isinstance(value, str) and value in ("sqrt", "log"))
    if known or (integer(value) or 0) >= 1:
        return value if known else integer(value)
    raise ArgumentError(f'{name} must be None, a positive integer, "sqrt" or "log", got {value!r}.')


class _Plan(NamedTuple):
    """A method's settings, for one loop."""

    chunk: int
    store: int


class _WholeCarry(NamedTuple):
    carry: Carry
    h: jax.Array


@dataclasses.dataclass(frozen=True)
class _Whole:
    """Any cell as a split one: its whole step is `recur`, and nothing is left to `update`."""

    cell: Cell

    def start(self, params: Params, carry: Carry, xs: Any) -> _WholeCarry:
        """The initial carry, beside an h that is never read."""
        x = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs)
        _, h = jax.eval_shape(
            lambda p, c, x: self.cell.step(p, c, self.cell.project(p, x)), params, carry, x
        )
        return _WholeCarry(carry, zeros(h))

    def project(self, params: Params, xs: Any) -> Any:
        return self.cell.project(params, xs)

    def recur(self, params: Params, carry: _WholeCarry, z: Any) -> _WholeCarry:
        return _WholeCarry(*self.cell.step(params, carry.carry, z))

    def update(self, carry: _WholeCarry, a: _WholeCarry) -> _WholeCarry:
        del carry
        return a

    def emit(self, carry: _WholeCarry) -> jax.Array:
        return carry.h

    def linearize(
        self, carries: _WholeCarry, a: _WholeCarry, after: _WholeCarry
    ) -> Callable[[_WholeCarry, _WholeCarry], _WholeCarry]:
        del carries, a, after
        return Partial(self.update)


def _emitted(cell: "SplitCell | _Whole", carry: Carry, a: Any) -> Any:
    del a
    return cell.emit(carry)


def _carries(cell: "SplitCell | _Whole", carry: Carry, a: Any) -> Any:
    del cell, a
    return carry, None


def _everything(cell: "SplitCell | _Whole", carry: Carry, a: Any) -> Any:
    del cell
    return carry, a


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _loop(
    cell: SplitCell | _Whole,
    keep: Callable[[SplitCell | _Whole, Carry, Any], Any],
    plan: _Plan,
    params: Params,
    start: Carry,
    xs: Any,
) -> tuple[Carry, Any]:
    """The last carry, and of each step what `keep` selects of carry and preactivations."""

    def chunk(carry: Carry, xs: Any) -> tuple[Carry, Any]:
        def step(carry: Carry, z: Any) -> tuple[Carry, Any]:
            a = cell.recur(params, carry, z)
            carry = cell.update(carry, a)
            return carry, keep(cell, carry, a)

        return lax.scan(step, carry, cell.project(params, xs))

    return _scan_chunks(chunk, plan.chunk, start, xs)


def _loop_tangent(
    cell: SplitCell | _Whole,
    keep: Callable[[SplitCell | _Whole, Carry, Any], Any],
    plan: _Plan,
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
) -> tuple[tuple[Carry, Any], tuple[Carry, Any]]:
    params, start, xs = primals
    d_params, d_start, d_xs = map(moving, tangents)
    d_start = jax.tree.map(lambda c, d: jnp.zeros_like(c) if d is None else d, start, d_start)
    # Through `_loop` again, so that second derivatives see how the stored carries move.
    size = _steps(xs) * _bytes_of_a_step(cell, params, start, xs)
    fits = not is_symbolic_dim(size) and size <= plan.store and not isinstance(cell, _Whole)
    stored = _everything if fits else _carries
    end, (carries, preactivations) = _loop(cell, stored, plan, params, start, xs)

    # Without the checkpoint every chunk's preactivations would be stored after all.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def chunk(state: tuple[Carry, Carry], steps: tuple[Any, ...]) -> tuple[Any, Any]:
        start, d_start = state
        xs, d_xs, after, kept = steps
        before = before_each(start, after)
        # z and a are computed only where a derivative in the loop, or of `update`, asks for them.
        zs = cell.project(params, xs)
        a, d_a = jvp(
            lambda params, xs: cell.recur(params, before, cell.project(params, xs)),
            (params, xs),
            (d_params, d_xs),
        )
        update = cell.linearize(before, a if kept is None else kept, after)

        def move(params: Params, step: tuple[Any, ...], d_carry: Carry) -> Carry:
            update, carry, z = step
            _, d_a = jax.jvp(lambda c: cell.recur(params, c, z), (carry,), (d_carry,))
            return update(d_carry, d_a)

        still = jax.tree.map(jnp.zeros_like, d_start)
        driven = jax.vmap(lambda update, d_a: update(still, d_a))(update, d_a)
        d_end, d_carries = solve(move, params, (update, before, zs), d_start, driven)
        # Only a second derivative asks how the preactivations move.
        d_before = before_each(d_start, d_carries)
        _, d_recurred = jax.jvp(lambda c: cell.recur(params, c, zs), (before,), (d_before,))
        d_kept = keep(cell, d_carries, jax.tree.map(jnp.add, d_a, d_recurred))
        return (after_last(start, after), d_end), d_kept

    states, steps = (start, d_start), (xs, d_xs, carries, preactivations)
    (_, d_end), d_kept = _scan_chunks(chunk, plan.chunk, states, steps)
    return (end, keep(cell, carries, preactivations)), (d_end, d_kept)


_loop.defjvp(_loop_tangent, symbolic_zeros=True)


def _scan_chunks(
    f: Callable[[Any, Any], tuple[Any, Any]], size: int, carry: Any, xs: Any
) -> tuple[Any, Any]:
    """`lax.scan` of an `f` that takes `size` steps at once, the last time perhaps fewer."""
    steps = _steps(xs)
    if is_symbolic_dim(steps):  # nor can it be known whether there would be a rest
        return f(carry, xs)
    chunks, rest = divmod(steps, size)
    if not chunks:
        return f(carry, xs)
    whole = chunks * size
    carry, ys = lax.scan(
        f, carry, jax.tree.map(lambda x: x[:whole].reshape(chunks, size, *x.shape[1:]), xs)
    )
    ys = jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), ys)
    if rest:
        carry, tail = f(carry, jax.tree.map(lambda x: x[whole:], xs))
        ys = jax.tree.map(lambda y, t: jnp.concatenate([y, t]), ys, tail)
    return carry, ys


def _equal_parts(steps: int, size: int) -> int:
    """About as many steps of `size` bytes as make sense, so that no short chunk is left over."""
    wanted = 0 if is_symbolic_dim(size) else CHUNK_BYTES // max(1, size)
    wanted = min(MOST, max(FEWEST, wanted))
    if is_symbolic_dim(steps):
        return wanted
    parts = max(1, round(steps / wanted))
    return max(1, -(-steps // parts))


def _bytes_of_a_step(cell: SplitCell | _Whole, params: Params, start: Carry, xs: Any) -> int:
    """The size of the preactivations of one step."""
    x = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs)
    a = jax.eval_shape(
        lambda params, c, x: cell.recur(params, c, cell.project(params, x)), params, start, x
    )
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(a))


def _steps(xs: Any) -> int:
    return jax.tree.leaves(xs)[0].shape[0]


def _check_differentiable(cell: Cell, carry: Carry) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(carry):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise DtypeError(
                f"BPTT: the carry of {cell!r} has {leaf.dtype} at {jax.tree_util.keystr(path)}, "
                "which has no gradient; use method=Scan() for this cell."
            )
