"""What a function makes of its arguments, read from its program before it runs."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxprs_in_params

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


# What is worked out number by number, of operands of one shape, or only says where numbers lie.
ELEMENTWISE = frozenset(
    """
    abs add add_any and atan2 cbrt ceil clamp convert_element_type copy cos cosh div eq erf
    erf_inv erfc exp exp2 expm1 floor ge gt integer_pow is_finite le lgamma log log1p logistic
    lt max mesh_cast min mul ne neg nextafter not optimization_barrier or pow pvary rem reshard
    round rsqrt select_n sharding_constraint sign sin sinh sqrt square stop_gradient sub tan tanh
    xor
    """.split()
)


def depends(f: Callable[..., Any], arguments: Sequence[Any], which: int) -> bool:
    """Whether anything that `f` returns depends on one of its arguments, given by their shapes."""
    jaxpr = jax.make_jaxpr(f)(*arguments).jaxpr
    marked = [i == which for i, tree in enumerate(arguments) for _ in jax.tree.leaves(tree)]
    return any(_follow(jaxpr, marked)[1])


def is_unitwise(f: Callable[..., Any], arguments: Sequence[Any], of: int | None = None) -> bool:
    """Whether each number that `f` returns is made of those in the same place of its arguments.

    Of the first `of` of them, if that is said. Arguments of fewer axes than the others, such as a
    mark of each sequence, are of all places.
    """
    jaxpr = jax.make_jaxpr(f)(*arguments).jaxpr
    count = len(jax.tree.leaves(arguments[:of]))
    axes = [variable.aval.ndim for variable in jaxpr.invars[:count]]
    marked = [n == max(axes) for n in axes] + [False] * (len(jaxpr.invars) - count)
    return _is_unitwise(jaxpr, marked)


def contains(f: Callable[..., Any], arguments: Sequence[Any], primitive: str) -> bool:
    """Whether `f` runs an operation whose name begins with `primitive`, however deep inside."""
    return _contains(jax.make_jaxpr(f)(*arguments).jaxpr, primitive)


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
        bent, program = _BENT.get(name), called(equation)
        if bent is not None and inputs[bent] and equation.invars[bent].aval.shape == ():
            found = found or name
        if program is not None:
            inside, outputs = _follow(program.jaxpr, inputs)
            found = found or inside
        depending.update(v for v, is_so in zip(equation.outvars, outputs, strict=True) if is_so)
    return found, list(map(depends, jaxpr.outvars))


def called(equation: Any) -> ClosedJaxpr | None:
    """The program of a function that is called once with the operands; None where there is none.

    A loop or a branch is one operation.
    """
    if equation.primitive.name in ("scan", "while", "cond"):
        return None
    programs = [p for p in equation.params.values() if isinstance(p, ClosedJaxpr | Jaxpr)]
    if len(programs) != 1:
        return None
    (program,) = programs
    closed = program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, ())
    return closed if len(closed.jaxpr.invars) == len(equation.invars) else None


def _is_unitwise(jaxpr: Any, marked: Sequence[bool]) -> bool:
    depending = {variable for variable, is_so in zip(jaxpr.invars, marked, strict=True) if is_so}
    for equation in jaxpr.eqns:
        inputs = [x for x in equation.invars if not isinstance(x, Literal) and x in depending]
        if not inputs:
            continue
        program = called(equation)
        if program is not None:
            flags = [not isinstance(x, Literal) and x in depending for x in equation.invars]
            if not _is_unitwise(program.jaxpr, flags):
                return False
        elif equation.primitive.name not in ELEMENTWISE:
            return False
        depending.update(equation.outvars)
    return len({variable.aval.shape for variable in depending}) <= 1


def _contains(jaxpr: Any, primitive: str) -> bool:
    return any(
        equation.primitive.name.startswith(primitive)
        or any(_contains(inner, primitive) for inner in jaxprs_in_params(equation.params))
        for equation in jaxpr.eqns
    )
