"""A jit that counts: one compilation more than allowed is an error."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax

from rnn_jax.arguments.settings import function, positive
from rnn_jax.errors import ArgumentError, ShapeError

# How many arguments an error names: params of another dtype would fill the screen.
MOST = 8


def jit_at_most(f: Callable[..., Any], compilations: int, **options: Any) -> Any:
    """`jax.jit(f, **options)` that raises before it is compiled more than `compilations` times.

    Each new shape or dtype of an argument is a compilation of seconds, and nothing says so: the
    program is slow. The error names the arguments that differed, with all that they were.
    `chex.assert_max_traces` counts as well, but does not say what changed. A call that needs no
    compilation costs what it costs under `jax.jit`; one that is refused does not run.

    Raises:
      ArgumentError: `compilations` is not a positive integer.
      ShapeError: At a call: one shape too many.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> double = rnn.batching.jit_at_most(lambda x: 2 * x, compilations=2)
    >>> double(jnp.ones(3)).shape, double(jnp.ones(5)).shape, double(jnp.zeros(3)).shape
    ((3,), (5,), (3,))
    >>> double(jnp.ones(4))
    Traceback (most recent call last):
    rnn_jax.errors.ShapeError: <lambda> would be compiled once more, but 2 are allowed...
    """
    compilations = positive("jit_at_most: compilations", compilations)
    function("jit_at_most: f", f)
    try:
        parameters = inspect.signature(f)
    except ValueError:
        raise ArgumentError(
            f"jit_at_most: {f!r} does not tell its arguments; wrap it in a lambda that does."
        ) from None
    seen: list[dict[str, str]] = []

    @functools.wraps(f)
    def traced(*args: Any, **kwargs: Any) -> Any:
        # JAX runs this body only where it has no compiled program for the arguments.
        new = _kinds(parameters.bind(*args, **kwargs).arguments)
        if len(seen) == compilations:
            raise ShapeError(_complaint(getattr(f, "__name__", repr(f)), seen, new))
        out = f(*args, **kwargs)
        seen.append(new)
        return out

    return jax.jit(traced, **options)


def _kinds(arguments: dict[str, Any]) -> dict[str, str]:
    """What a program is compiled for: the shape and dtype of each leaf, or its static value."""
    return {
        f"{path[0].key}{jax.tree_util.keystr(path[1:])}": str(jax.typeof(leaf))
        if isinstance(leaf, jax.Array)
        else repr(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(dict(arguments))
    }


def _complaint(name: str, seen: list[dict[str, str]], new: dict[str, str]) -> str:
    places = list(dict.fromkeys(place for one in [*seen, new] for place in one))
    lines = []
    for place in places:
        before = list(dict.fromkeys(one.get(place, "absent") for one in seen))
        now = new.get(place, "absent")
        if {*before} != {now}:
            lines.append(f"  {place}: {now}, before {' and '.join(before)}")
    what = "\n".join(lines[:MOST]) or "  nothing that shows: the same arguments were traced anew"
    return (
        f"{name} would be compiled once more, but {len(seen)} are allowed. What changed:\n{what}\n"
        "Make every batch in one of the shapes before (rnn_jax.batching.bucket, pack, or "
        "pad(..., length=)), or allow more."
    )
