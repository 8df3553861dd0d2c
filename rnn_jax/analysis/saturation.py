"""How many units of a cell are saturated, so that no gradient passes them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from rnn_jax.analysis.arguments import Marks, sequences
from rnn_jax.analysis.norms import along
from rnn_jax.analysis.program import evaluate
from rnn_jax.analysis.trajectory import Trajectory, trajectory
from rnn_jax.arguments.settings import fraction
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import StructureError
from rnn_jax.unroll import step

SLOPE = 0.1
# By what it made: the slope of a nonlinearity over its steepest.
SLOPES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": lambda y: 1 - y * y,
    "logistic": lambda y: 4 * y * (1 - y),
    "max": lambda y: (y > 0).astype(y.dtype),
}


def saturated_share(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    slope: float = SLOPE,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
) -> jax.Array:
    """The share of saturated units, for each nonlinearity of the cell and each step.

    A unit is saturated where the local derivative of its nonlinearity is below `slope` times the
    steepest that it has: `1 - tanh(a)^2 < slope`, which at 0.1 is `|tanh(a)| > 0.949`;
    `4 s (1 - s) < slope` for a sigmoid s, which is the same for its `tanh(a / 2)`; a ReLU, where
    it is off. Gradients die there, whether the unit is a state or a gate: a remember gate
    saturated at 1 keeps the memory, and cannot learn to stop.

    The nonlinearities are read off the program of one step, in the order in which it evaluates
    them, so any cell will do, also one that does not split; an LSTM has f, i, g, o and the
    memory's. What a step does inside a loop of its own is not looked into.

    With `lengths`, `mask` and `reset` as for `unroll` step t is the t-th that happens, and its
    share that over the sequences which have so many steps; NaN where none has.

    Shapes: xs `(T, *batch, ...)`; the result is `(nonlinearities, T)`. Cost: one forward pass and
    its steps once more, all at a time. Sources: Glorot & Bengio, AISTATS 2010, section 3;
    Karpathy, Johnson & Li, 2015, arXiv:1506.02078, section 4.2, for gates.

    Raises `ArgumentError` for a slope outside [0, 1], `StructureError` where the cell has neither
    tanh nor sigmoid nor ReLU, and what `gradient_map` raises.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 2)
    >>> params = rnn.ElmanParams(jnp.array([[0.1, 9.0]]), jnp.zeros((2, 2)), jnp.zeros(2))
    >>> rnn.analysis.saturated_share(cell, params, jnp.array([[0.0], [1.0], [-1.0]])).tolist()
    [[0.0, 0.5, 0.5]]
    """
    slope = fraction("saturated_share: slope", slope)
    marks = Marks(lengths, mask, reset)
    path = trajectory(cell, sequences("saturated_share", cell, params, xs, carry, marks))
    return share_by_step("saturated_share", cell, path, slope)


def share_by_step(caller: str, cell: Cell, path: Trajectory, slope: float) -> jax.Array:
    """The shares over a run, for the function that is called `caller`."""
    # With the carries known, all steps are one batch of one step.
    given = path.carries, path.xs
    program = jax.make_jaxpr(lambda carries, xs: step(cell, path.params, xs, carries)[0])(*given)
    happens = path.happens
    slopes = _slopes(program, jax.tree.leaves(given))
    over = [s for s in slopes if s.shape[: happens.ndim] == happens.shape]
    if not over:
        raise StructureError(
            f"{caller}: a step of {cell!r} evaluates no tanh, sigmoid or ReLU, so nothing of it "
            "saturates."
        )
    return jnp.stack(
        [jnp.mean(s < slope, range(1, s.ndim), s.dtype, where=along(happens, s)) for s in over]
    )


def _slopes(program: ClosedJaxpr, arguments: list[Any]) -> list[jax.Array]:
    """Evaluate a program, and collect the relative slopes of its nonlinearities."""
    found: list[jax.Array] = []

    def see(equation: Any, results: list[Any]) -> None:
        name = equation.primitive.name
        if name in SLOPES and (name != "max" or _with_zero(equation)):
            found.append(SLOPES[name](results[0]))

    evaluate(program, arguments, see)
    return found


def _with_zero(equation: Any) -> bool:
    return any(isinstance(v, Literal) and v.val == 0 for v in equation.invars)
