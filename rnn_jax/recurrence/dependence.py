"""What a function makes of its arguments, read from its program before it runs."""

from collections.abc import Sequence
from typing import Any

from jax.extend.core import Literal

# Where the operand stands that the operation bends. Sums, products with what is given and the
# like are missing: a mean over equal parts may go through them.
_BENT = {
    "div": 1,
    "exp": 0,
    "integer_pow": 0,
    "log": 0,
    "pow": 0,
    "rsqrt": 0,
    "sqrt": 0,
    "square": 0,
}


def bends_a_number_of(jaxpr: Any, marked: Sequence[bool]) -> str | None:
    """The first operation that is not linear in one number made of the marked arguments.

    Such as the division by how many real tokens there are. The functions that a program calls are
    read as well; a loop or a branch is one operation.
    """
    return _follow(jaxpr, marked)[0]


def _follow(jaxpr: Any, marked: Sequence[bool]) -> tuple[str | None, list[bool]]:
    """That operation, and which results depend on the marked arguments."""
    depending = {variable for variable, is_so in zip(jaxpr.invars, marked, strict=True) if is_so}

    def depends(x: Any) -> bool:
        return not isinstance(x, Literal) and x in depending

    found = None
    for equation in jaxpr.eqns:
        inputs, outputs = list(map(depends, equation.invars)), [True] * len(equation.outvars)
        if not any(inputs):
            continue
        name = equation.primitive.name
        bent, called = _BENT.get(name), _called(equation)
        if bent is not None and inputs[bent] and equation.invars[bent].aval.shape == ():
            found = found or name
        if called is not None:
            inside, outputs = _follow(called, inputs)
            found = found or inside
        depending.update(v for v, is_so in zip(equation.outvars, outputs, strict=True) if is_so)
    return found, list(map(depends, jaxpr.outvars))


def _called(equation: Any) -> Any:
    """The program of a function that is called once with the operands; None where there is none."""
    called = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    called = getattr(called, "jaxpr", called)
    if equation.primitive.name == "scan" or not hasattr(called, "eqns"):
        return None
    return called if len(called.invars) == len(equation.invars) else None
