"""Lyapunov exponents: how fast a change of the carry grows, on the average over a long run."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnn_jax.analysis.arguments import Marks, first_key, rows, sequences, up_to
from rnn_jax.analysis.flatten import (
    Flat,
    Step,
    each_sequence,
    flat_sequences,
    flat_step,
    orbit,
    pull,
    push,
)
from rnn_jax.analysis.orthonormal import orthonormalise
from rnn_jax.arguments.settings import at_least, positive
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import ArgumentError


class LyapunovSpectrum(NamedTuple):
    """Rates of growth in nats a step."""

    exponents: jax.Array
    """`(*batch, k)`: in the order of Gram and Schmidt; descending, but for fluctuations."""
    running: jax.Array
    """`(n, *batch, k)`: the estimates from the first `steps[i]` steps that count, or all of a
    shorter sequence's."""
    steps: np.ndarray
    """`(n,)` integers."""


def lyapunov_spectrum(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    k: int | None = None,
    warmup: int = 0,
    warmup_q: int = 0,
    every: int = 1,
    key: jax.Array | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> LyapunovSpectrum:
    """The k largest Lyapunov exponents of a cell driven by xs.

    `J_t Q_{t-1} = Q_t R_t`, with `J_t = dc_t/dc_{t-1}` and Q `(N, k)` orthonormal;
    `exponent_i = 1/T sum_t log |R_t[i, i]|`: the natural logarithm, so nats a step.

    Where all N are asked for, their sum is the mean of `log |det J_t|` at any T; each alone is
    right in the limit of large T, and `running` shows how it settles. It differentiates, with
    `orthonormalise`'s care where a direction dies out; see `flossing_loss`. A system without an
    input, such as `h' = tanh(J h)`, is a cell whose inputs are zeros. A direction that a step
    maps to zero has exponent -inf, or `log(eps)` a QR where rounding hides the zero: rates near
    -36 in float64 and -16 in float32 say no more than that.

    Shapes: xs `(T, *batch, ...)`. Cost: a step multiplies its Jacobian with Q, `O(N^2 k)` for a
    dense recurrent weight, every `every` steps a QR of `O(N k^2)`; memory `O(T N)`. Sources:
    Benettin et al., Meccanica 15, 1980; for recurrent networks, Engelken, Wolf & Abbott, Phys.
    Rev. Research 5, 2023.

    Args:
      cell: Any cell with a carry.
      params: Its params.
      xs: The input, as for `unroll`.
      carry: Where to start; `cell.initial_carry` if None.
      k: How many exponents; all N of them if None.
      warmup: How many steps the state runs alone, until it is on its attractor.
      warmup_q: How many steps more Q runs along uncounted, until it has turned.
      every: How many steps lie between two QRs; while Q's columns stay apart in floats, the
        numbers do not depend on it.
      key: Draws the first Q; `jax.random.key(0)` if None.
      lengths: As for `unroll`: T is each sequence's own. Where that leaves no step to count, and
        under jit, where nothing can be raised, exponents are NaN.
      mask: As for `unroll`: only the steps that happen count.

    Raises:
      ArgumentError: Counts out of range, or as `unroll`.
      StructureError: A cell that carries nothing, or as `unroll`.
      ShapeError, DtypeError: xs without steps, or as `unroll`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 50)
    >>> J = 3 * jax.random.normal(jax.random.key(0), (50, 50)) / jnp.sqrt(50)
    >>> params = rnn.ElmanParams(jnp.zeros((1, 50)), J, jnp.zeros(50))
    >>> carry = rnn.ElmanCarry(jax.random.normal(jax.random.key(1), (50,)))
    >>> spectrum = rnn.analysis.lyapunov_spectrum(
    ...     cell, params, jnp.zeros((500, 1)), carry, k=1, warmup=100
    ... )
    >>> bool(spectrum.exponents[0] > 0)  # chaos
    True
    """
    caller = "lyapunov_spectrum"
    marks = Marks(lengths, mask)
    given = flat_sequences(cell, sequences(caller, cell, params, xs, carry, marks))
    return measure(caller, TANGENT, cell, given, k, warmup, warmup_q, every, key)


def adjoint_lyapunov_spectrum(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    k: int | None = None,
    warmup: int = 0,
    warmup_q: int = 0,
    every: int = 1,
    key: jax.Array | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> LyapunovSpectrum:
    """The k largest exponents of the adjoint, which runs backward: those of the gradient itself.

    `J_t^T Q_t = Q_{t-1} R_t` for t = T, T-1, ...: what backpropagation does to k gradients. In
    the limit the exponents are those of `lyapunov_spectrum`; over a finite stretch they differ,
    and Q is made of other directions. (J^T applied forward in time is neither.) `warmup` steps
    at the start of xs are left out, and `warmup_q` at the end; `running` counts from the end.

    Arguments, shapes, cost and errors are those of `lyapunov_spectrum`. Source: Kuptsov &
    Parlitz, J. Nonlinear Sci. 22, 2012.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 2, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 2)), 0.5 * jnp.eye(2), jnp.zeros(2))
    >>> spectrum = rnn.analysis.adjoint_lyapunov_spectrum(cell, params, jnp.ones((9, 1)))
    >>> [round(float(rate), 4) for rate in spectrum.exponents]  # log(0.5)
    [-0.6931, -0.6931]
    """
    caller = "adjoint_lyapunov_spectrum"
    marks = Marks(lengths, mask)
    given = flat_sequences(cell, sequences(caller, cell, params, xs, carry, marks))
    return measure(caller, ADJOINT, cell, given, k, warmup, warmup_q, every, key)


def kaplan_yorke_dimension(exponents: jax.Array) -> jax.Array:
    """The dimension of the attractor by Kaplan and Yorke: `(*batch, k) -> (*batch)`.

    `D = j + (l_1 + ... + l_j) / |l_{j+1}|`, exponents descending, j the last at which their sum
    is not negative; 0 where even the first is negative. It needs the exponents down to l_{j+1}:
    where no sum is negative the answer is their number, which for fewer than all exponents is
    only a lower bound. Source: Kaplan & Yorke, Lecture Notes in Math. 730, 1979.

    Raises `StructureError` or `ShapeError` for what is no array with an axis of exponents.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> rnn.analysis.kaplan_yorke_dimension(jnp.array([0.5, 0.0, -2.0])).item()
    2.25
    """
    return _kaplan_yorke(rows("kaplan_yorke_dimension: exponents", exponents))


@jax.jit
def _kaplan_yorke(exponents: jax.Array) -> jax.Array:
    falling = -jnp.sort(-exponents, axis=-1)
    sums = jnp.cumsum(falling, axis=-1)
    whole = jnp.sum(sums >= 0, axis=-1, keepdims=True)
    reached = jnp.take_along_axis(sums, jnp.maximum(whole - 1, 0), -1)
    following = jnp.take_along_axis(falling, jnp.minimum(whole, falling.shape[-1] - 1), -1)
    inside = (whole > 0) & (whole < falling.shape[-1])
    part = jnp.where(inside, reached / jnp.where(inside, jnp.abs(following), 1), 0)
    dimension = whole.astype(part.dtype) + part
    return jnp.where(jnp.isnan(sums[..., -1:]), jnp.nan, dimension)[..., 0]


def entropy_rate(exponents: jax.Array) -> jax.Array:
    """The sum of the positive exponents: `(*batch, k) -> (*batch)`, in nats a step.

    By Pesin's identity the rate at which the dynamics tells of its initial state; in general an
    upper bound (Ruelle). Sources: Pesin, Russ. Math. Surv. 32, 1977; Ruelle, Bol. Soc. Bras.
    Mat. 9, 1978.

    Raises what `kaplan_yorke_dimension` raises.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> rnn.analysis.entropy_rate(jnp.array([0.5, 0.25, -2.0])).item()
    0.75
    """
    exponents = rows("entropy_rate: exponents", exponents)
    return jnp.sum(jnp.maximum(exponents, 0), axis=-1)


class _Dynamics(NamedTuple):
    """What Q obeys: which product a step is, and the direction of time."""

    apply: Callable[[Step, jax.Array, Any, jax.Array], jax.Array]
    forward: bool


TANGENT = _Dynamics(push, True)
ADJOINT = _Dynamics(pull, False)


def measure(
    caller: str,
    dynamics: _Dynamics,
    cell: Cell,
    given: Flat,
    k: int | None,
    warmup: int,
    warmup_q: int,
    every: int,
    key: jax.Array | None,
) -> LyapunovSpectrum:
    """The spectrum of the dynamics, for the function that is called `caller`."""
    k = None if k is None else up_to(f"{caller}: k", k, given.start.shape[-1])
    every = positive(f"{caller}: every", every)
    warmup = at_least(0)(f"{caller}: warmup", warmup)
    warmup_q = at_least(0)(f"{caller}: warmup_q", warmup_q)
    fewest = given.xs.shape[0]
    if given.counts.size and not isinstance(given.counts, jax.core.Tracer):
        fewest = int(given.counts.min())
    if fewest - warmup - warmup_q < 1:
        raise ArgumentError(
            f"{caller}: warmup and warmup_q must leave steps to count, got {warmup} and {warmup_q} "
            f"of {fewest} steps."
        )
    key = first_key(f"{caller}: key", key)
    return settled(dynamics, cell, given, k, warmup, lambda steps: warmup_q, every, key)


def settled(
    dynamics: _Dynamics,
    cell: Cell,
    given: Flat,
    k: int | None,
    warmup: int,
    warmup_q: Callable[[Any], Any],
    every: int,
    key: jax.Array,
) -> LyapunovSpectrum:
    """The spectrum; how long Q turns may depend on how many steps a sequence has."""
    total, start = given.xs.shape[0], given.start
    size = start.shape[-1]
    q = jnp.linalg.qr(jax.random.normal(key, (size, size if k is None else k), start.dtype))[0]
    turning = jnp.broadcast_to(jnp.asarray(warmup_q(given.counts), jnp.int32), given.counts.shape)
    slots = warmup_q(total), total - warmup - warmup_q(total)
    growth = _growth(cell, dynamics, warmup, slots, every, given, turning, q)
    growth = jnp.moveaxis(growth, -2, 0)
    steps = np.minimum(every * np.arange(1, len(growth) + 1), slots[1])
    counted = jnp.maximum(given.counts - warmup - turning, 0)
    so_far = jnp.asarray(steps, jnp.int32).reshape(-1, *[1] * counted.ndim)
    so_far = jnp.minimum(so_far, counted[None]).astype(start.dtype)[..., None]
    so_far = jnp.where(so_far > 0, so_far, jnp.nan)
    running = jnp.cumsum(growth, 0) / so_far
    return LyapunovSpectrum(running[-1], running, steps)


@functools.partial(jax.jit, static_argnums=range(5))
def _growth(
    cell: Cell,
    dynamics: _Dynamics,
    warmup: int,
    slots: tuple[int, int],
    every: int,
    given: Flat,
    turning: jax.Array,
    q: jax.Array,
) -> jax.Array:
    """`log |diag R|` of each QR: `(*batch, n, k)`.

    `slots`: for how many steps there is room while Q turns, and after that.
    """
    step = flat_step(cell, given.params)

    def multiply(q: jax.Array, item: tuple[jax.Array, Any, jax.Array]) -> tuple[jax.Array, None]:
        c, z, there = item
        return jnp.where(there, dynamics.apply(step, c, z, q), q), None

    # Differentiated, it would keep every intermediate of every step.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def stretch(q: jax.Array, items: Any) -> tuple[jax.Array, jax.Array]:
        return orthonormalise(lax.scan(multiply, q, items)[0])

    def run(q: jax.Array, items: Any) -> tuple[jax.Array, jax.Array]:
        steps = len(items[0])
        count, whole = steps // every, steps - steps % every
        chunks = jax.tree.map(lambda x: x[:whole].reshape(count, every, *x.shape[1:]), items)
        q, growth = lax.scan(stretch, q, chunks)
        if whole < steps:
            q, rest = stretch(q, jax.tree.map(lambda x: x[whole:], items))
            growth = jnp.concatenate([growth, rest[None]])
        return q, growth

    def one(xs: jax.Array, of: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        c, count, turn = of
        zs = cell.project(given.params, xs)
        path = orbit(step, c, zs), zs
        used = count - warmup

        def items(first: jax.Array | int, number: int, end: jax.Array) -> Any:
            """What is used from `first` on, up to `end`, in the order of the dynamics."""
            i = first + jnp.arange(number, dtype=count.dtype)
            at = warmup + i if dynamics.forward else count - 1 - i
            at = jnp.clip(at, 0, len(path[0]) - 1)
            return *jax.tree.map(lambda x: x[at], path), i < end

        turned, _ = run(q, items(0, slots[0], jnp.minimum(turn, used)))
        return run(turned, items(turn, slots[1], used))[1]

    return each_sequence(one, given.xs, (given.start, given.counts, turning))
