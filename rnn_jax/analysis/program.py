"""The program of a step, read equation by equation."""

from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr


def called(equation: Any) -> ClosedJaxpr | None:
    """The program that an equation calls once, such as that of a jitted function."""
    if equation.primitive.name in ("scan", "while", "cond"):
        return None
    programs = [p for p in equation.params.values() if isinstance(p, ClosedJaxpr | Jaxpr)]
    if len(programs) != 1:
        return None
    (program,) = programs
    return program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, ())
