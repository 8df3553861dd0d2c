"""One pass over the program of a step, so that it runs in a kernel, on any machine.

A kernel has its matrices in memory, and the units that multiply have few forms. So a product with a
weight is not worked out where the program has it, but where it is read: of `split(h @ w)` each gate
is a product with its own part of w, and what backward is joined to be multiplied by `w^T` is a sum
of products. What lies between a product and where it is cut is worked out part by part, and a sum
over its units is the sum of those of the parts. No operation is left that cuts or joins lanes of
numbers.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from rnn_jax.methods.kernel.cuts import BY_PART, parts
from rnn_jax.methods.kernel.deferred import joined, value
from rnn_jax.methods.kernel.rules import RULES, Rule, bound, by_part, plain
from rnn_jax.methods.kernel.stored import form
from rnn_jax.recurrence.cotangent import NAME
from rnn_jax.recurrence.dependence import called


@dataclasses.dataclass(frozen=True)
class Program:
    """A step as a list of operations, without what nobody reads, and without functions."""

    closed: ClosedJaxpr
    equations: tuple[Any, ...]
    reads: tuple[bool, ...]
    """Of each argument of the function, whether the step reads it."""
    parts: Mapping[Any, tuple[int, ...]]
    """The sizes of the parts of the variables that are in parts."""

    @property
    def outputs(self) -> list[Any]:
        """Their shapes and dtypes."""
        return [variable.aval for variable in self.closed.jaxpr.outvars]

    @property
    def arguments(self) -> list[Any]:
        """The variables that it reads of those of the function."""
        return list(itertools.compress(self.closed.jaxpr.invars, self.reads))

    def __call__(self, *arguments: Any, rules: Mapping[str, Rule] | None = None) -> list[Any]:
        """Run it for the arguments that it reads. One may be a `Weight`.

        By rules of a machine's own for some operations, given by name.
        """
        rules = {**RULES, **(rules or {})}
        jaxpr = self.closed.jaxpr
        known: dict[Any, Any] = {}

        def keep(variables: Sequence[Any], values: Sequence[Any]) -> None:
            for variable, x in zip(variables, values, strict=True):
                sizes = self.parts.get(variable)
                known[variable] = x if sizes is None else joined(x, sizes)

        keep(self.arguments, arguments)
        keep(jaxpr.constvars, self.closed.consts)

        def read(x: Any) -> Any:
            return x.val if isinstance(x, Literal) else known[x]

        for equation in self.equations:
            operands = list(map(read, equation.invars))
            name, (out, *_) = equation.primitive.name, equation.outvars
            rule = rules.get(name, plain)
            if name in BY_PART and out in self.parts:
                rule = by_part(rule, self.parts[out])
            keep(equation.outvars, rule(equation, operands))
        return [value(read(x)) for x in jaxpr.outvars]


def program(
    f: Callable[..., Any], arguments: Sequence[Any], carries: int
) -> tuple[Program, list[Any]]:
    """That of a step, of arrays given by shapes; and the arrays that it closes over.

    They are its last arguments, for a kernel closes over nothing. The first ones are its carry,
    and count as read.
    """
    closed = jax.make_jaxpr(f)(*arguments)
    forms = [form(jnp.asarray(x), by_row=False) for x in closed.consts]
    held = [kept.stored(jnp.asarray(x)) for kept, x in zip(forms, closed.consts, strict=True)]

    def flat(*given: Any) -> list[Any]:
        consts = zip(forms, given[len(arguments) :], strict=True)
        loaded = [kept.loaded(x) for kept, x in consts]
        return _inlined(closed.jaxpr, loaded, given[: len(arguments)])

    found = jax.make_jaxpr(flat)(*arguments, *held)
    needed = {x for x in found.jaxpr.outvars if not isinstance(x, Literal)}
    kept = []
    for equation in reversed(found.jaxpr.eqns):
        if needed.intersection(equation.outvars):
            kept.append(equation)
            needed.update(x for x in equation.invars if not isinstance(x, Literal))
    equations = tuple(reversed(kept))
    reads = tuple(i < carries or x in needed for i, x in enumerate(found.jaxpr.invars))
    return Program(found, equations, reads, parts(equations)), held


def _inlined(jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

    def read(x: Any) -> Any:
        return x.val if isinstance(x, Literal) else known[x]

    for equation in jaxpr.eqns:
        operands, inside = list(map(read, equation.invars)), called(equation)
        if equation.primitive.name == NAME:  # an identity, but to a derivative
            results = operands
        elif inside is not None:
            results = _inlined(inside.jaxpr, inside.consts, operands)
        else:
            results = bound(equation, operands)
        known.update(zip(equation.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))
