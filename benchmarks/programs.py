"""From a network to a compiled program that can be timed: one way for every competitor in JAX."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

import rnn_jax as rnn
from benchmarks.shapes import FORWARD, Shape
from benchmarks.variants import Variant

RATE = 1e-3
"""The step of SGD where params are donated."""


class Step(NamedTuple):
    """A program and its arguments, ready to call, and what its compiler says of it."""

    run: Callable[[], Any]
    """Once, to the end."""
    compilation: float | None = None
    """Seconds to trace, lower and compile."""
    temporaries: int | None = None
    """Bytes beside arguments and results."""
    peak: int | None = None
    """Bytes in all, at most."""

    def __call__(self) -> Any:
        return self.run()


class Network(NamedTuple):
    """A recurrent network as a pure function, time first."""

    params: Any
    forward: Callable[[Any, jax.Array], Any]
    """`(params, xs) -> ys`, with xs `(T, B, hidden)`."""
    training_step: Callable[[Any, jax.Array], tuple[Any, Any]] | None = None
    """`(params, xs) -> (value, gradient)`; that of `mean(square(ys))` if None."""


def inputs(shape: Shape, dtype: Any) -> jax.Array:
    """The same numbers for every competitor."""
    heads = () if shape.heads == 1 else (shape.heads,)
    size = (shape.steps, shape.batch, *heads, shape.hidden)
    return jax.random.normal(jax.random.key(0), size).astype(dtype)


def compiled(network: Network, shape: Shape, kind: str, variant: Variant) -> Step:
    """The network's program of this kind, compiled, and run by calling it."""
    forward = kind == FORWARD
    params = jax.tree.map(lambda p: jnp.asarray(p, variant.dtype), network.params)
    if shape.heads > 1:
        params = jax.tree.map(lambda p: jnp.stack([p] * shape.heads), params)
    xs = inputs(shape, variant.dtype)
    f = _function(network, shape.heads, forward)
    if variant.split:
        f, params, xs = _split(f, params, xs, forward)
    donated = ()
    if variant.donate:
        f, donated = (f, (1,)) if forward else (_updated(f), (0,))

    start = time.perf_counter()
    lowered = jax.jit(f, donate_argnums=donated).lower(params, xs)
    program = lowered.compile(compiler_options=dict(variant.options) or None)
    compilation = time.perf_counter() - start
    memory = program.memory_analysis()
    return Step(
        _Call(program, [params, xs], donated),
        compilation,
        memory.temp_size_in_bytes,
        _peak(memory),
    )


def _peak(memory: Any) -> int:
    """On a CPU the compiler's own number leaves the temporaries out."""
    parts = memory.argument_size_in_bytes + memory.output_size_in_bytes
    parts += memory.temp_size_in_bytes - memory.alias_size_in_bytes
    return max(parts, getattr(memory, "peak_memory_in_bytes", 0))


class _Call:
    """Calls a program. What it donates is replaced by its last result."""

    def __init__(self, program: Callable, arguments: list, donated: tuple[int, ...]) -> None:
        self.program, self.arguments, self.donated = program, arguments, donated

    def __call__(self) -> Any:
        result = jax.block_until_ready(self.program(*self.arguments))
        if self.donated == (0,):
            self.arguments[0] = result[1]
        elif self.donated == (1,):
            self.arguments[1] = result
        return result


def _function(network: Network, heads: int, forward: bool) -> Callable:
    def over_heads(f: Callable, axis: int) -> Callable:
        return f if heads == 1 else jax.vmap(f, in_axes=(0, 2), out_axes=axis)

    run = over_heads(network.forward, 2)
    if forward:
        return run
    if network.training_step is not None:
        return over_heads(network.training_step, 0)

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(run(params, xs)))

    return jax.value_and_grad(loss)


def _split(f: Callable, params: Any, xs: jax.Array, forward: bool) -> tuple[Callable, Any, Any]:
    """Each device runs its own part of the batch; gradients are averaged."""
    run = rnn.split_batch(f, in_axes=(None, 1), out_axes=1 if forward else None)
    mesh = jax.make_mesh((jax.device_count(),), ("batch",))
    place = jax.sharding.NamedSharding
    params = jax.device_put(params, place(mesh, PartitionSpec()))
    return run, params, jax.device_put(xs, place(mesh, PartitionSpec(None, "batch")))


def _updated(f: Callable) -> Callable:
    def update(params: Any, xs: jax.Array) -> tuple[Any, Any]:
        value, gradient = f(params, xs)
        return value, jax.tree.map(lambda p, g: p - RATE * g.astype(p.dtype), params, gradient)

    return update
