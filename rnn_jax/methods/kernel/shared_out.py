"""A step of a loop of which each group of threads has a slice of the units."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal

from rnn_jax.errors import ArgumentError, DtypeError, StructureError
from rnn_jax.methods.kernel.deferred import Deferred, Joined, value
from rnn_jax.methods.kernel.program import Program
from rnn_jax.methods.kernel.rules import RULES, Rule, plain
from rnn_jax.methods.kernel.scan import Loop, Role

KIB = 2**10
ROWS = 64
"""Rows of the smallest product that a group of threads works out."""
DEEP = 16
"""How many units a product takes at once."""
GROUPS = 4
"""Of 128 threads each: with more, a thread has fewer registers than a step of an LSTM needs."""
WIDEST = 64
"""Units of a group: its sums and all that a step has of them are in its registers."""
CLUSTER = 8
"""Blocks of a cluster, at most, that every Hopper runs side by side."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Some rows and columns of a matrix, as they are multiplied by."""

    index: int
    """The matrix, among the arrays."""
    turned: bool
    """Whether it is transposed first."""
    row: int
    rows: int
    column: int
    columns: int

    def tiles(self, matrix: jax.Array, shares: int) -> jax.Array:
        """`[i, j]` is what makes the units of share i from those of share j."""
        whole = jnp.matrix_transpose(matrix) if self.turned else matrix
        cut = whole[self.row : self.row + self.rows, self.column : self.column + self.columns]
        parts = cut.reshape(shares, self.rows // shares, shares, self.columns // shares)
        return jnp.transpose(parts, (2, 0, 1, 3))


Terms = Sequence[tuple[jax.Array, Block]]
"""The units of a group, and what all units are multiplied by; to be summed."""


@dataclasses.dataclass(frozen=True)
class _Matrix:
    """A weight, which is not in the program of the step but in memory."""

    index: int
    shape: tuple[int, ...]
    turned: bool = False

    def transposed(self) -> "_Matrix":
        """The same numbers in memory."""
        return _Matrix(self.index, self.shape[::-1], not self.turned)


@dataclasses.dataclass(frozen=True)
class _Product(Deferred):
    """`x @ w`, not worked out yet."""

    x: Any
    weight: _Matrix
    dtype: Any
    shares: int
    multiply: Callable[[Terms], jax.Array]

    def cut(self, start: int, size: int) -> jax.Array:
        """So many of its columns."""
        terms, at = [], 0
        for x in self.x.parts if isinstance(self.x, Joined) else [self.x]:
            rows = x.shape[-1] * self.shares
            block = Block(self.weight.index, self.weight.turned, at, rows, start, size)
            terms.append((x, block))
            at += rows
        return self.multiply(terms).astype(self.dtype)

    def value(self) -> jax.Array:
        """All of its columns."""
        return self.cut(0, self.weight.shape[1])


class Handed:
    """Which units all groups have put where the others see them: the last two."""

    def __init__(self) -> None:
        self._last: list[tuple[Any, int]] = []
        self.count = 0

    def find(self, x: jax.Array) -> tuple[int, bool]:
        """The number of x, and whether it is there already."""
        for before, number in self._last:
            if before is x:
                return number, True
        self._last = [*self._last[-1:], (x, self.count)]
        self.count += 1
        return self.count - 1, False


class SharedOut:
    """A step of which each group of threads has a slice of the units.

    Axes of size 1 are left out of its arrays: Mosaic has none of shape `(64, 1)`.
    """

    def __init__(self, loop: Loop, step: Program, roles: Sequence[Role], memory: int) -> None:
        """Raises where a step cannot be shared out."""
        self._name, self._step = loop.name, step
        shapes = [x.aval.shape for x in step.arguments]
        is_matrix = [
            role is Role.WEIGHT and shape[0] > 1 for shape, role in zip(shapes, roles, strict=True)
        ]
        self.matrices = {i: _Matrix(i, shape) for i, shape in enumerate(shapes) if is_matrix[i]}
        sizes, widest = self._sizes(shapes)
        self.shares = 1
        self._axes: dict[Any, tuple[str | None, ...]] = {}
        self._weights = set(itertools.compress(step.arguments, is_matrix))
        for x, role in zip(step.arguments, roles, strict=True):
            lead = None if role is Role.WEIGHT else "rows"
            self._axes[x] = (lead, None if x.aval.shape[1] == 1 else "units")
        for equation in step.equations:
            axes = self._follow(equation)
            self._axes.update((out, axes) for out in equation.outvars)
        self.blocks, self.handed = self._products()
        self.cluster, self.groups = self._share_out(math.gcd(*sizes), widest, memory)
        self.shares = self.cluster * self.groups
        widths = sorted({block.rows for block in self.blocks})
        # Two, of which one is written while others may still read the other.
        self.places = [(2, self.shares, ROWS, n // self.shares) for n in widths]

    def __call__(
        self, others: Sequence[jax.Array], multiply: Callable[[Terms], jax.Array]
    ) -> list[jax.Array]:
        """The step, of the units of a group, and of all that it reads but the matrices."""
        left = iter(others)
        count = len(self._step.arguments)
        values = [self.matrices[i] if i in self.matrices else next(left) for i in range(count)]
        names = {equation.primitive.name for equation in self._step.equations}
        rules: dict[str, Rule] = {
            **dict.fromkeys(names.difference(RULES), self._elementwise),
            "add_any": _add,
            **dict.fromkeys(_MOVES, self._broadcast),
            "dot_general": functools.partial(self._dot_general, multiply),
            "transpose": _transpose,
        }
        return self._step(*values, rules=rules)

    def _shape(self, variable: Any) -> tuple[int, ...]:
        """That of what a group has of it."""
        found = zip(self._axes[variable], variable.aval.shape, strict=True)
        return tuple(n if axis == "rows" else n // self.shares for axis, n in found if axis)

    def _products(self) -> tuple[list[Block], int]:
        """What a step multiplies by, and how often it hands units over."""
        found: dict[Block, None] = {}
        handed = Handed()

        def multiply(terms: Terms) -> jax.Array:
            for x, block in terms:
                if x.dtype != jnp.bfloat16:
                    raise DtypeError(
                        f"Fused: {self._name} multiplies numbers of {x.dtype}, and Hopper() "
                        "multiplies bfloat16; take bfloat16 params and inputs, GPU() if it fits, "
                        "or BPTT()."
                    )
                handed.find(x)
                found[block] = None
            return jnp.zeros((ROWS, terms[0][1].columns // self.shares), jnp.float32)

        others = [
            jax.ShapeDtypeStruct(self._shape(x), x.aval.dtype)
            for i, x in enumerate(self._step.arguments)
            if i not in self.matrices
        ]
        jax.eval_shape(lambda *others: self(others, multiply), *others)
        return list(found), handed.count

    def _sizes(self, shapes: Sequence[tuple[int, ...]]) -> tuple[set[int], int]:
        """Those of all axes that are shared out, and the most units that a step works on."""
        units: set[int] = set()
        for i, shape in enumerate(shapes):
            if len(shape) != 2:
                self._refuse(f"has an array of shape {shape}, and a Hopper has rows of units")
            units.update(() if i in self.matrices else without_ones(shape[1:]))
        sizes = units.union(*(shapes[i] for i in self.matrices))
        odd = [n for n in sizes if n % DEEP]
        if odd:
            self._refuse(f"has {min(odd)} units, and a Hopper multiplies {DEEP} at once")
        return sizes, max(units, default=0)

    def _share_out(self, common: int, widest: int, memory: int) -> tuple[int, int]:
        """Over how many blocks, and groups of threads in each: the fewest blocks that hold it."""
        ways: dict[int, int] = {}
        for blocks, groups in itertools.product(range(1, CLUSTER + 1), range(1, GROUPS + 1)):
            shares = blocks * groups
            if common % (DEEP * shares) == 0 and widest <= shares * WIDEST:
                ways[blocks] = groups
        if not ways:
            self._refuse(
                f"has {widest} units, which cannot be shared out equally in multiples of {DEEP} up "
                f"to {WIDEST}; take a multiple of {GROUPS * DEEP}"
            )
        weights = sum(2 * block.rows * block.columns for block in self.blocks)
        operands = sum(2 * 2 * ROWS * n for n in {block.rows for block in self.blocks})
        others = 2 * KIB  # what threads wait at, and what fills up
        for blocks, groups in ways.items():
            if weights / blocks + operands + others <= memory:
                return blocks, groups
        most = max(ways)
        raise ArgumentError(
            f"Fused: {self._name} needs {(weights / most + operands + others) / KIB:.0f} KiB of "
            f"the shared memory of each of {most} multiprocessors, {weights / most / KIB:.0f} for "
            f"its part of the weights of the loop and {operands / KIB:.0f} for what they are "
            f"multiplied by, and a program may take {memory / KIB:.0f} KiB; take fewer units, or "
            "use BPTT()."
        )

    def _follow(self, equation: Any) -> tuple[str | None, ...]:
        """Which axes are those of the rows and the units in what an equation makes."""
        name, (out, *_) = equation.primitive.name, equation.outvars
        cut = [x for x in equation.outvars if x in self._step.parts]
        if cut and name not in ("dot_general", "concatenate"):
            self._refuse(
                f"has a `{name}` of an array of shape {cut[0].aval.shape} that is cut or joined "
                "and no product"
            )
        arrays = [x for x in equation.invars if not isinstance(x, Literal) and x.aval.ndim]
        if self._weights.intersection(arrays) and name != "dot_general":
            if name != "transpose":
                self._refuse(
                    f"has a `{name}` of a weight, where a Hopper multiplies by it as it is"
                )
            self._weights.add(out)
        if name == "broadcast_in_dim":
            places = equation.params["broadcast_dimensions"]
            known = dict(zip(places, self._axes[arrays[0]], strict=True)) if arrays else {}
            new = ("rows", "units")
            return tuple(
                None if n == 1 else known.get(i) or new[i] for i, n in enumerate(out.aval.shape)
            )
        if name in _MOVES:
            before, after = (without_ones(x.aval.shape) for x in (arrays[0], out))
            if before != after:
                self._refuse(f"has a `{name}` of an array of shape {arrays[0].aval.shape}")
            left = iter(filter(None, self._axes[arrays[0]]))
            return tuple(None if n == 1 else next(left) for n in out.aval.shape)
        if name in ("dot_general", "split", "concatenate", "transpose"):
            return "rows", "units"
        shapes = [x.aval.shape for x in arrays]
        if name in _ALONG or not all(len(a) == out.aval.ndim for a in shapes):
            self._refuse(
                f"has a `{name}` of an array of shape {equation.invars[0].aval.shape}, of which "
                "no group of threads has all units"
            )
        found: list[str | None] = [None] * out.aval.ndim
        for x in arrays:
            found = [axis or own for axis, own in zip(found, self._axes[x], strict=True)]
        return tuple(found)

    def _broadcast(self, equation: Any, operands: Sequence[Any]) -> list[Any]:
        """What drops or adds axes; here those of size 1 are not there."""
        (before, *_), (out,) = equation.invars, equation.outvars
        x, shape = jnp.asarray(value(operands[0])), self._shape(out)
        if x.shape == shape:
            return [x]
        axes = list(filter(None, self._axes[out]))
        places = [] if isinstance(before, Literal) else filter(None, self._axes[before])
        return [lax.broadcast_in_dim(x, shape, [axes.index(axis) for axis in places])]

    def _elementwise(self, equation: Any, operands: Sequence[Any]) -> list[Any]:
        """Where an axis of size 1 stands for any size, it is made so long."""
        (out, *_) = equation.outvars
        axes, shape = list(filter(None, self._axes[out])), self._shape(out)

        def spread(before: Any, x: jax.Array) -> jax.Array:
            if jnp.ndim(x) in (0, len(shape)):
                return x
            own = filter(None, self._axes[before])
            return lax.broadcast_in_dim(x, shape, [axes.index(axis) for axis in own])

        wide = map(spread, equation.invars, map(value, operands))
        return plain(equation, list(wide))

    def _dot_general(
        self, multiply: Callable[[Terms], jax.Array], equation: Any, operands: Sequence[Any]
    ) -> list[Any]:
        x, w = operands
        (left, (right, *_)), batch = equation.params["dimension_numbers"]
        of_rows = not isinstance(x, _Matrix) and (batch, left) == (((), ()), (1,))
        if not of_rows or not isinstance(w, _Matrix):
            shapes = " and ".join(str(x.aval.shape) for x in equation.invars)
            self._refuse(f"multiplies arrays of shapes {shapes}, which are not rows and a weight")
        x = x if isinstance(x, Joined) else value(x)
        dtype = equation.outvars[0].aval.dtype
        return [_Product(x, w.transposed() if right else w, dtype, self.shares, multiply)]

    def _refuse(self, why: str) -> NoReturn:
        raise StructureError(f"Fused: {self._name} {why}; use BPTT().")


def _add(equation: Any, operands: Sequence[Any]) -> list[Any]:
    del equation
    return [lax.add(*map(value, operands))]


def _transpose(equation: Any, operands: Sequence[Any]) -> list[Any]:
    del equation
    return [x.transposed() for x in operands]


_MOVES = ("broadcast_in_dim", "expand_dims", "reshape", "squeeze")
_ALONG = frozenset("cumlogsumexp cummax cummin cumprod cumsum iota rev sort".split())


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes of the axes that there are in a kernel."""
    return tuple(n for n in shape if n > 1)
