"""Arrays of a step that are not worked out before they are read, or not as a whole."""

import abc
import itertools
from bisect import bisect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


class Deferred(abc.ABC):
    """What is not worked out before it is read."""

    @abc.abstractmethod
    def value(self) -> jax.Array:
        """All of it."""

    @abc.abstractmethod
    def cut(self, start: int, size: int) -> Any:
        """So many of its columns, from `start` on."""


class Weight(Deferred):
    """A matrix in memory, read a part at a time."""

    def __init__(
        self,
        part: Callable[[int, int, int], jax.Array],
        shape: tuple[int, ...],
        turned: bool = False,
    ) -> None:
        """`part(axis, start, size)` reads the rows or columns from `start` on."""
        self._part, self._shape, self._turned = part, shape, turned

    @property
    def shape(self) -> tuple[int, ...]:
        """As the program sees it."""
        return self._shape[::-1] if self._turned else self._shape

    def part(self, axis: int, start: int, size: int) -> jax.Array:
        """`size` rows or columns."""
        if self._turned:
            return jnp.matrix_transpose(self._part(1 - axis, start, size))
        return self._part(axis, start, size)

    def transposed(self) -> "Weight":
        """The same numbers in memory."""
        return Weight(self._part, self._shape, not self._turned)

    def value(self) -> jax.Array:
        """All of it."""
        return self.part(0, 0, self.shape[0])

    def cut(self, start: int, size: int) -> jax.Array:
        """So many of its columns."""
        return self.part(1, start, size)


class Joined(Deferred):
    """Parts side by side on the last axis, not joined yet."""

    def __init__(self, parts: Sequence[jax.Array], sizes: Sequence[int]) -> None:
        """Of `sizes` as the program sees them; a group of threads has less of each."""
        self.parts, self.sizes = parts, sizes

    def value(self) -> jax.Array:
        return jnp.concatenate(self.parts, -1)

    def cut(self, start: int, size: int) -> Any:
        """Its parts from one on, which must begin and end there."""
        ends = list(itertools.accumulate(self.sizes))
        first, last = bisect(ends, start), bisect(ends, start + size)
        if last - first == 1:
            return self.parts[first]
        return Joined(self.parts[first:last], self.sizes[first:last])


def joined(x: Any, sizes: Sequence[int]) -> Joined:
    """It in parts of these sizes."""
    if isinstance(x, Joined):
        return x
    if not isinstance(x, Deferred):
        return Joined(lax.split(x, sizes, axis=x.ndim - 1), sizes)
    return Joined(pieces(x, sizes), sizes)


def pieces(x: Deferred, sizes: Sequence[int]) -> list[Any]:
    """Its columns, so many at a time."""
    starts = itertools.accumulate(sizes, initial=0)
    return [x.cut(start, size) for start, size in zip(starts, sizes, strict=False)]


def value(x: Any) -> Any:
    """It, worked out."""
    return x.value() if isinstance(x, Deferred) else x
