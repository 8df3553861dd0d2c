"""Cells of another library as they are: its own code is the step of a `Cell`."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import integers
from rnn_jax.arguments.trees import difference, form
from rnn_jax.cell import Carry, Cell, Input, Params
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.noise import some_key
from rnn_jax.recurrence.dependence import depends

Shapes = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class ForeignCell(Cell):
    """A cell whose step is that of a module, of which the params are all that has numbers.

    Nothing is known of it but what the program of its step says. So its whole step is in the loop,
    and the methods that ask for a split, or for a step that is linear, do what they do for any
    cell without one. It is a value for as long as the process: pickle takes no module that has
    functions of JAX among its settings, as those of Flax have.
    """

    peer: str
    """The name of the module's class."""
    input_shape: tuple[int, ...]
    """The axes of one input behind the batch."""
    shapes: Shapes = dataclasses.field(repr=False)
    """Those of the params, leaf by leaf: for two modules may differ in nothing else."""

    @abc.abstractmethod
    def begin(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Carry:
        """What the module starts with, for inputs of `shape`."""

    @abc.abstractmethod
    def call(self, params: Params, key: jax.Array, carry: Carry, x: jax.Array) -> Any:
        """What the module makes of a carry and an input, `(carry, y)`."""

    @property
    def input(self) -> Input:
        """`input_shape` numbers a step."""
        return Input(self.input_shape, jnp.floating)

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The module's own, in the dtype of `params`."""
        carry = self.begin(params, jax.random.key(0), (*batch_shape, *self.input_shape))
        dtype = jax.tree.leaves(params)[0].dtype
        return jax.tree.map(lambda c: jnp.asarray(c).astype(dtype), carry)

    def project(self, params: Params, xs: Any) -> Any:
        """Inputs as they are."""
        del params
        return xs

    def step(self, params: Params, carry: Carry, z: Any) -> tuple[Carry, jax.Array]:
        """The module's own."""
        carry, h = self.call(params, jax.random.key(0), carry, z)
        return carry, h


def shapes_of(params: Params) -> Shapes:
    """The shapes of the params, leaf by leaf."""
    return tuple(tuple(leaf.shape) for leaf in jax.tree.leaves(params))


def placed(
    what: str,
    make: Callable[[tuple[int, ...]], ForeignCell],
    params: Params,
    feature_axes: int,
    input_shape: Iterable[int] | None,
) -> ForeignCell:
    """The cell that `make` makes of the shape of its input, looked at.

    The size of a single axis is found by trial among those of the arrays, for a module need not
    say it.
    """
    if not jax.tree.leaves(params):
        raise StructureError(f"{what} has no params, so there is nothing to train or analyse.")
    if input_shape is not None:
        shape = tuple(integers(f"{what}: input_shape", input_shape).tolist())
        if len(shape) != feature_axes:
            raise ArgumentError(
                f"{what}: input_shape must have as many axes as its num_feature_axes, "
                f"{feature_axes}, got {shape}."
            )
        cell = make(shape)
        complaint = _misfit(cell, params)
        if complaint is not None:
            raise ArgumentError(
                f"{what} takes no input of input_shape={shape}, for it says: {complaint}"
            )
        _look(what, cell, params)
        return cell
    if feature_axes != 1:
        raise ArgumentError(
            f"{what} reads {feature_axes} axes a step, and its arrays do not say how long they "
            "are; say it, input_shape=(...)."
        )
    sizes = sorted({size for shape in shapes_of(params) for size in shape})
    cells = [make((size,)) for size in sizes]
    complaints = [_misfit(cell, params) for cell in cells]
    fitting = [c for c, complaint in zip(cells, complaints, strict=True) if complaint is None]
    if len(fitting) != 1:
        found = (
            f"inputs of {' and '.join(str(c.input_shape[0]) for c in fitting)} numbers fit"
            if fitting
            else f"no size among those of its arrays fits, the last one for {complaints[-1]}"
        )
        raise ArgumentError(f"{what}: {found}; say input_shape=(D,).")
    _look(what, fitting[0], params)
    return fitting[0]


def like(params: Params) -> Params:
    """The params without their numbers."""
    return jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), params)


def _arguments(cell: ForeignCell, params: Params) -> tuple[Any, Any, Any, Any]:
    """Those of `call`, for a batch of one, without numbers."""
    params = like(params)
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, (1,)), params)
    x = jax.ShapeDtypeStruct((1, *cell.input_shape), jax.tree.leaves(params)[0].dtype)
    return params, some_key(), carry, x


def _misfit(cell: ForeignCell, params: Params) -> str | None:
    """Why the module takes no such input, in its own words."""
    try:
        jax.eval_shape(cell.call, *_arguments(cell, params))
    except StructureError:
        raise
    except Exception as error:  # whatever a module of somebody else raises
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return None


def _look(what: str, cell: ForeignCell, params: Params) -> None:
    """Raise where the step is none of a `Cell`: random, or with another carry after it."""
    _looked(what, cell, jax.tree.structure(params), jax.tree.leaves(params)[0].dtype)


@functools.lru_cache(maxsize=256)
def _looked(what: str, cell: ForeignCell, structure: Any, dtype: Any) -> None:
    params = structure.unflatten([jax.ShapeDtypeStruct(shape, dtype) for shape in cell.shapes])
    arguments = _arguments(cell, params)
    shape = (1, *cell.input_shape)
    random = {
        "step": depends(cell.call, arguments, 1),
        "initial carry": depends(lambda p, k: cell.begin(p, k, shape), arguments[:2], 1),
    }
    for part, is_random in random.items():
        if is_random:
            raise StructureError(
                f"{what}: its {part} draws random numbers, which a Cell reads beside its inputs; "
                "switch it off there, and put rnn.dropout or rnn.zoneout around the cell."
            )
    after = jax.eval_shape(cell.call, *arguments)
    if not (isinstance(after, tuple) and len(after) == 2):
        raise StructureError(f"{what} must return (carry, y), got {form(after)}.")
    before, carry = arguments[2], after[0]
    if difference(before, carry) is not None:
        raise StructureError(
            f"{what}: the carry has the form {form(before)} before a step, {form(carry)} after it."
        )
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(carry), strict=True):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise StructureError(
                f"{what}: the carry is {one.dtype} of shape {one.shape} before a step and "
                f"{other.dtype} of shape {other.shape} after it; where the module has a dtype of "
                "its own, it must be that of its params."
            )


__all__ = ["ForeignCell", "like", "placed", "shapes_of"]
