"""A program run equation by equation, for whoever wants to see what is made on the way."""

from collections.abc import Callable, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, Literal

from rnn_jax.recurrence.dependence import called


def evaluate(
    program: ClosedJaxpr, arguments: Sequence[Any], see: Callable[[Any, list[Any]], None]
) -> list[Any]:
    """What the program makes of its arguments; `see(equation, results)` sees every equation.

    The functions that it calls are run in the same way; a loop or a branch is one equation.
    """
    known = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    known |= dict(zip(program.jaxpr.invars, arguments, strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else known[variable]

    for equation in program.jaxpr.eqns:
        values = [read(v) for v in equation.invars]
        inner = called(equation)
        if inner is not None:
            results = evaluate(inner, values, see)
        else:
            results = equation.primitive.bind(*values, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
        see(equation, results)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(v) for v in program.jaxpr.outvars]
