"""Where a network looks: the weights of attention at each step, for a picture."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.program import evaluate
from rnn_jax.arguments.arrays import taken_tree
from rnn_jax.attention.attention import WEIGHTS
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.checks import check_layer, check_steps
from rnn_jax.errors import StructureError
from rnn_jax.recurrence.steps import select
from rnn_jax.unroll import step, unroll


def attention_weights(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
    key: jax.Array | None = None,
    t: Any = 0,
) -> tuple[jax.Array, ...]:
    """How the attention of a cell is spread over its memory, at each step: pictures of alignment.

    One array `(T, *batch, S)` for each `Attention` inside, in the order in which a step reads: row
    t of a sequence sums to 1 over the places that there are. They are zeros where no step happens,
    and where the memory has no place.

    They are read off the program of a step, whatever the attention is wrapped in. Pure, and can
    be compiled. Arguments, and errors, are those of `unroll`; the params have their memory beside
    them. Cost: one forward pass, step by step.

    Raises `StructureError` where nothing inside attends, and what `unroll` raises.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.attention import Additive, Attention, attentive, with_memory
    >>> cell = attentive(rnn.GRU(3 + 6, 8), Attention(8, 6, Additive(5)))
    >>> params = with_memory(cell, cell.init(jax.random.key(0)), jnp.ones((9, 2, 6)))
    >>> (weights,) = rnn.analysis.attention_weights(cell, params, jnp.ones((7, 2, 3)))
    >>> weights.shape, bool(jnp.allclose(weights.sum(-1), 1))
    ((7, 2, 9), True)
    """
    check_layer("attention_weights", cell, Cell)
    given = {"params": params, "xs": xs, "carry": carry}
    params, xs, carry = (taken_tree(cell, name, tree) for name, tree in given.items())
    marks = {"lengths": lengths, "mask": mask, "reset": reset}
    jax.eval_shape(lambda: unroll(cell, params, xs, carry, **marks, key=key, t=t))
    params, xs, carry = jax.tree.map(jnp.asarray, (params, xs, carry))
    batch_shape = tuple(xs.shape[1 : xs.ndim - len(cell.input.shape)])
    if carry is None:
        carry = cell.initial_carry(params, batch_shape)
    lengths, happens, reset = check_steps(cell, xs.shape[0], batch_shape, **marks)
    if lengths is not None:
        number = lax.broadcasted_iota(lengths.dtype, (xs.shape[0], *batch_shape), 0)
        before_end = number < lengths[None]
        happens = before_end if happens is None else happens & before_end

    def one(carry: Carry, at: Any) -> tuple[Carry, tuple[jax.Array, ...]]:
        x, happens, reset, t = at
        program, after = jax.make_jaxpr(
            lambda carry: step(cell, params, x, carry, mask=happens, reset=reset, key=key, t=t)[0],
            return_shape=True,
        )(carry)
        found: list[jax.Array] = []

        def see(equation: Any, results: list[Any]) -> None:
            if equation.primitive.name == "name" and equation.params["name"] == WEIGHTS:
                found.extend(results)

        leaves = evaluate(program, jax.tree.leaves(carry), see)
        # What stands behind the loop reads a sequence of one step, with an axis of time.
        found = [weights.reshape(*batch_shape, weights.shape[-1]) for weights in found]
        zeros = [jnp.zeros_like(weights) for weights in found]
        weights = found if happens is None else select(happens, found, zeros)
        return jax.tree.unflatten(jax.tree.structure(after), leaves), tuple(weights)

    numbers = t + jnp.arange(xs.shape[0], dtype=jnp.uint32)
    _, weights = lax.scan(one, carry, (xs, happens, reset, numbers))
    if not weights:
        raise StructureError(
            f"attention_weights: nothing inside {cell!r} attends; an Attention does, or a cell "
            "made by attentive."
        )
    if lengths is not None:
        weights = tuple(select(lengths[None] < 0, jnp.full_like(w, jnp.nan), w) for w in weights)
    return weights
