"""The points where a cell comes to rest under a constant input, and what it does around them."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from rnn_jax.analysis.arguments import starts_of
from rnn_jax.arguments.settings import not_negative, positive
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.unroll import step


class FixedPoints(NamedTuple):
    """K points, the slowest first; K may be 0."""

    carries: Carry
    """`(K, ...)`: as carries of the cell."""
    points: np.ndarray
    """`(K, N)`: the same, all leaves of a carry as one vector."""
    speeds: np.ndarray
    """`(K,)`: `q = 1/2 ||F(c) - c||^2`."""
    fixed: np.ndarray
    """`(K,)`: whether q is zero up to rounding; the others are slow points."""
    jacobians: np.ndarray
    """`(K, N, N)`: `dF_i/dc_j` at `[k, i, j]`."""
    eigenvalues: np.ndarray
    """`(K, N)`: of the Jacobians, complex, the largest modulus first."""
    stable: np.ndarray
    """`(K,)`: whether all eigenvalues lie inside the unit circle."""
    found: np.ndarray
    """`(K,)`: how many starts ended here."""


def fixed_points(
    cell: Cell,
    params: Params,
    x: Any,
    starts: Carry,
    *,
    slow: float = 1e-4,
    apart: float = 1e-3,
    max_iterations: int = 200,
) -> FixedPoints:
    """Find the fixed and the slow points of a cell under a constant input, and linearise there.

    With `F(c)` the carry after a step from c that reads x, minimise `q(c) = 1/2 ||F(c) - c||^2`
    from every start by damped Newton steps, `(H + mu I) dc = -A' (F(c) - c)`, `A = dF/dc - I`, the
    better of two: H the Hessian of q, or its part A'A, which is Levenberg and Marquardt's method.
    mu falls with every success and rises with every failure. Zeros of q are fixed points, its
    other minima slow points, where the state lingers. Starts are best taken from where the
    network lives: the carries of runs over data, with some noise. More of them may find more
    points; that all are found nothing can promise.

    Not for jit, as how many points there are is known only in the end; the search inside is one
    compiled program. Cost: O(N^3) operations an iteration and a few N x N matrices; starts come one
    after the other. Source: Sussillo & Barak, Opening the black box, Neural
    Computation 25, 2013.

    Args:
      cell: A cell with a memory.
      params: Its params.
      x: One step of input, without batch axes; zeros for an autonomous network.
      starts: Carries with one axis of starts in front.
      slow: The largest q that counts as slow; what ended faster is left out.
      apart: Points nearer to each other than this are one, the slowest of them.
      max_iterations: When to stop in any case, for each start.

    Raises:
      ArgumentError: slow or apart negative, or max_iterations not positive.
      ShapeError, DtypeError, StructureError: As `rnn_jax.step` with `starts` as its carry, and
        for a cell without memory.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1)
    >>> params = rnn.ElmanParams(jnp.zeros((1, 1)), jnp.full((1, 1), 2.0), jnp.zeros(1))
    >>> starts = rnn.ElmanCarry(jnp.linspace(-1, 1, 7)[:, None])
    >>> found = rnn.analysis.fixed_points(cell, params, jnp.zeros(1), starts)
    >>> sorted((round(float(h), 4), bool(s)) for [h], s in zip(found.points, found.stable))
    [(-0.9575, True), (0.0, False), (0.9575, True)]
    """
    caller = "fixed_points"
    slow = not_negative(f"{caller}: slow", slow)
    apart = not_negative(f"{caller}: apart", apart)
    max_iterations = positive(f"{caller}: max_iterations", max_iterations)
    params, x, starts = starts_of(caller, cell, params, x, starts)
    ends, speeds = _search(cell, max_iterations, params, x, starts)
    kept, found = _distinct(np.asarray(ends), np.asarray(speeds), slow, apart)
    points, speeds = ends[kept], np.asarray(speeds)[kept]
    carries, jacobians = _linearised(cell, params, x, points)
    eigenvalues = np.linalg.eigvals(np.asarray(jacobians))
    order = np.argsort(-np.abs(eigenvalues), axis=-1, kind="stable")
    eigenvalues = np.take_along_axis(eigenvalues, order, axis=-1)
    points = np.asarray(points)
    rounding = np.sqrt(np.finfo(points.dtype).eps) * (1 + np.linalg.norm(points, axis=-1))
    return FixedPoints(
        carries,
        points,
        speeds,
        fixed=np.sqrt(2 * speeds) <= rounding,
        jacobians=np.asarray(jacobians),
        eigenvalues=eigenvalues,
        stable=(np.abs(eigenvalues) < 1).all(axis=-1),
        found=found,
    )


class _State(NamedTuple):
    point: jax.Array
    speed: jax.Array
    damping: jax.Array
    at_rest: jax.Array
    iteration: jax.Array


@functools.partial(jax.jit, static_argnums=(0, 1))
def _search(
    cell: Cell, max_iterations: int, params: Params, x: Any, starts: Carry
) -> tuple[jax.Array, jax.Array]:
    """Where each start ends, `(S, N)`, and its speed."""
    displaced = _displacement(cell, params, x)

    def speed(point: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(displaced(point))) / 2

    def iterate(state: _State) -> _State:
        point, residual = state.point, displaced(state.point)
        a = jax.jacfwd(displaced)(point)
        bent = jax.hessian(lambda point: residual @ displaced(point))(point)
        damping = state.damping * jnp.eye(point.size, dtype=point.dtype)
        # The first goes for a zero; the second converges where q has a minimum that is none.
        moves = jnp.stack(
            [-jnp.linalg.solve(h + damping, a.T @ residual) for h in (a.T @ a, a.T @ a + bent)]
        )
        # Where a matrix was singular the move is no number, and refused.
        speeds = jnp.nan_to_num(jax.vmap(speed)(point[None] + moves), nan=jnp.inf)
        best = jnp.argmin(speeds)
        better, move = speeds[best] < state.speed, moves[best]
        eps = jnp.finfo(point.dtype).eps
        unseen = jnp.linalg.norm(move) <= eps * (1 + jnp.linalg.norm(point))
        return _State(
            jnp.where(better, point + move, point),
            jnp.where(better, speeds[best], state.speed),
            jnp.where(better, state.damping / 10, jnp.maximum(state.damping, eps) * 10),
            unseen | (state.speed == 0),
            state.iteration + 1,
        )

    def search(start: Carry) -> tuple[jax.Array, jax.Array]:
        point, _ = ravel_pytree(start)
        at_rest, iteration = jnp.zeros((), bool), jnp.zeros((), jnp.int32)
        damping = jnp.full((), 0.01, point.dtype)
        state = _State(point, speed(point), damping, at_rest, iteration)
        state = lax.while_loop(
            lambda s: ~s.at_rest & (s.iteration < max_iterations), iterate, state
        )
        return state.point, state.speed

    # Not vmap: a while loop over a batch waits for the slowest, and batched solves are slow.
    return lax.map(search, starts)


@functools.partial(jax.jit, static_argnums=0)
def _linearised(cell: Cell, params: Params, x: Any, points: jax.Array) -> tuple[Carry, jax.Array]:
    displaced = _displacement(cell, params, x)
    _, unravel = ravel_pytree(cell.initial_carry(params))
    identity = jnp.eye(points.shape[-1], dtype=points.dtype)
    return jax.vmap(unravel)(points), lax.map(
        lambda point: jax.jacfwd(displaced)(point) + identity, points
    )


def _displacement(cell: Cell, params: Params, x: Any) -> Any:
    """`c -> F(c) - c`, on vectors."""
    _, unravel = ravel_pytree(cell.initial_carry(params))

    def displaced(point: jax.Array) -> jax.Array:
        after, _ = step(cell, params, x, unravel(point))
        return ravel_pytree(after)[0] - point

    return displaced


def _distinct(
    ends: np.ndarray, speeds: np.ndarray, slow: float, apart: float
) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the slowest of each cluster of ends, and how many ends each stands for."""
    kept: list[int] = []
    found: list[int] = []
    for index in np.argsort(speeds, kind="stable"):
        if not speeds[index] <= slow:
            continue
        distances = np.linalg.norm(ends[kept] - ends[index], axis=-1)
        if kept and distances.min() < apart:
            found[int(distances.argmin())] += 1
        else:
            kept.append(int(index))
            found.append(1)
    return np.array(kept, int), np.array(found, int)
