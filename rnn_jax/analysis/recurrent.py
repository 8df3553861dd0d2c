"""The matrices that a step multiplies the hidden state by, read off the program of the step."""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal

from rnn_jax.analysis.arguments import cell_params
from rnn_jax.cell import Cell, Params
from rnn_jax.recurrence.dependence import called


def recurrent_matrices(cell: Cell, params: Params) -> dict[str, jax.Array]:
    """The square matrices of a cell's loop, by the name of the params they are: one, or one a gate.

    A matrix is in the loop where a step multiplies a leaf of the carry, or what is made of it
    unit by unit, by it, and the product reaches the same leaf of the next carry. So `w_xh` of an
    upper layer is none, and a loop through two matrices, as of a projected LSTM or of Jordan's,
    has none that says anything alone. They are read off the program of one step, so any cell will
    do, whatever its params are called; one that multiplies state and input by one matrix has none.

    A matrix `(H, n H)` is n gates side by side, numbered in the order of the cell: i f g o in an
    LSTM, r z n in a GRU. As `h @ w`: row vectors are multiplied from the left, which changes
    neither eigenvalues nor norms. Noise is left out.

    Raises `StructureError`, `ShapeError` or `DtypeError` for what is no cell, and for what are no
    params of it.

    >>> import jax, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 8), rnn.Elman(8, 5), rnn.Dense(5, 9))
    >>> params = model.init(jax.random.key(0))
    >>> {name: w.shape for name, w in rnn.analysis.recurrent_matrices(model, params).items()}
    {'1.w_hh.0': (8, 8), '1.w_hh.1': (8, 8), '1.w_hh.2': (8, 8), '2.w_hh': (5, 5)}
    """
    params = cell_params("recurrent_matrices", cell, params)
    found: dict[str, list[jax.Array]] = {}
    for product in _in_loop(*_products(cell, params)):
        name, rows = product.name, product.matrix.shape[0]
        gates = jnp.split(product.matrix, product.matrix.shape[1] // rows, axis=1)
        found.setdefault(name, []).extend(gates)
    return {
        f"{name}.{gate}" if len(gates) > 1 else name: w
        for name, gates in found.items()
        for gate, w in enumerate(gates)
    }


class _Product(NamedTuple):
    """What is made of the carry, times a matrix that is made of params."""

    name: str
    matrix: jax.Array
    """`(rows, columns)`, as in `h @ w`."""
    reads: frozenset[Any]


class _Value(NamedTuple):
    """What is known of a variable of the program."""

    number: Any
    """Its value, where it is made of params and constants alone; else None."""
    names: frozenset[str]
    """Of the params that it is made of."""
    reads: frozenset[Any]
    """The leaves of the carry and the products that it is made of, without a product between: a
    leaf by `(place, size)`, a product by its number."""


def _products(
    cell: Cell, params: Params
) -> tuple[list[_Product], list[tuple[tuple[int, int], frozenset[Any]]]]:
    """The products of a step; of each leaf of the carry, which it is and what the next reads."""
    cell = cast(Cell, cell.deterministic())
    carry = jax.eval_shape(cell.initial_carry, params)
    dtype = jax.tree.leaves(carry)[0].dtype if jax.tree.leaves(carry) else jnp.float32
    kind = cell.input.kind
    x = jax.ShapeDtypeStruct(cell.input.shape, dtype if kind is jnp.floating else jnp.int32)
    program = jax.make_jaxpr(
        lambda params, carry, x: cell.step(params, carry, cell.project(params, x))[0]
    )(params, carry, x)
    nothing: frozenset[Any] = frozenset()
    weights = [
        _Value(leaf, frozenset([jax.tree_util.keystr(path, simple=True, separator=".")]), nothing)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]
    leaves = [(place, leaf.size) for place, leaf in enumerate(jax.tree.leaves(carry))]
    memory = [_Value(None, nothing, frozenset([leaf])) for leaf in leaves]
    products: list[_Product] = []
    after = _evaluate(
        program.jaxpr, program.consts, [*weights, *memory, _Value(None, nothing, nothing)], products
    )
    return products, [(leaf, value.reads) for leaf, value in zip(leaves, after, strict=True)]


def _evaluate(
    program: Jaxpr, consts: Any, arguments: list[_Value], products: list[_Product]
) -> list[_Value]:
    nothing: frozenset[Any] = frozenset()
    known = {
        variable: _Value(const, nothing, nothing)
        for variable, const in zip(program.constvars, consts, strict=True)
    }
    known |= dict(zip(program.invars, arguments, strict=True))

    def read(variable: Any) -> _Value:
        if isinstance(variable, Literal):
            return _Value(variable.val, nothing, nothing)
        return known[variable]

    for equation in program.eqns:
        values = list(map(read, equation.invars))
        inner = called(equation)
        if inner is not None:
            results = _evaluate(inner.jaxpr, inner.consts, values, products)
        else:
            results = _apply(equation, values, products)
        known |= dict(zip(equation.outvars, results, strict=True))
    return list(map(read, program.outvars))


def _apply(equation: Any, values: list[_Value], products: list[_Product]) -> list[_Value]:
    names = frozenset[str]().union(*(value.names for value in values))
    reads = frozenset[Any]().union(*(value.reads for value in values))
    if all(value.number is not None for value in values):
        numbers = equation.primitive.bind(*(value.number for value in values), **equation.params)
        numbers = numbers if equation.primitive.multiple_results else [numbers]
        return [_Value(number, names, reads) for number in numbers]
    if equation.primitive.name == "dot_general":
        weight = _weight(equation, values)
        if weight is not None:
            products.append(_Product("+".join(sorted(weight.names)), weight.number, reads))
            return [_Value(None, frozenset(), frozenset([len(products) - 1]))]
    return [_Value(None, names, reads) for _ in equation.outvars]


def _weight(equation: Any, values: list[_Value]) -> _Value | None:
    """The matrix `(rows, columns)` of a product of it with what is not made of params alone."""
    contracted, batched = equation.params["dimension_numbers"]
    for value, axes, batch_axes in zip(values, contracted, batched, strict=True):
        one_axis = len(axes) == 1 and not batch_axes
        if one_axis and value.number is not None and value.names and value.number.ndim == 2:
            return value._replace(number=jnp.moveaxis(value.number, axes[0], 0))
    return None


def _in_loop(
    products: list[_Product], after: list[tuple[tuple[int, int], frozenset[Any]]]
) -> list[_Product]:
    """The products that read a leaf of the carry and reach it again, through others that do."""
    inside: set[int] = set()
    for leaf, reached in after:
        readers = {
            number
            for number, product in enumerate(products)
            if leaf in product.reads
            and product.matrix.shape[0] == leaf[1]
            and product.matrix.shape[1] % leaf[1] == 0
        }
        looping = readers & reached
        while True:
            more = {n for m in looping for n in readers & products[m].reads} | looping
            if more == looping:
                break
            looping = more
        inside |= looping
    return [products[number] for number in sorted(inside)]
