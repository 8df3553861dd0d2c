"""What every layer of a stack emits, and which of it says what a word means where it stands."""

from typing import Any

import jax

from rnn_jax.arguments.arrays import one_key, taken_tree
from rnn_jax.arguments.settings import instance, short
from rnn_jax.cell import Carry, Params
from rnn_jax.checks import check_params
from rnn_jax.combinators.stack import LayerStack
from rnn_jax.errors import StructureError
from rnn_jax.unroll import unroll


def layer_outputs(
    stack: LayerStack,
    params: tuple[Params, ...],
    xs: Any,
    carry: tuple[Carry, ...] | None = None,
    *,
    key: jax.Array | None = None,
    **options: Any,
) -> tuple[tuple[Carry, ...], tuple[jax.Array, ...]]:
    """Run a stack as `unroll` does, and keep what every layer emits, not that of the last alone.

    Args:
      stack: Of `rnn_jax.stack`.
      params, xs, carry, key: As for `rnn_jax.unroll`.
      options: `lengths`, `mask`, `reset`, `reverse`, `t` and `method`, as for `rnn_jax.unroll`.

    Returns:
      `(carry, layers)`: the carry of the stack after the last step, and one `(T, *batch, ...)` a
      layer, from the lowest up. The last one is what `unroll` returns. All are held at once; under
      jit, XLA drops those that are not used.

    Raises:
      StructureError, ShapeError, DtypeError, ArgumentError: As `rnn_jax.unroll`; or the first
        argument is no stack.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> stack = rnn.stack(rnn.GRU(3, 4), rnn.LSTM(4, 5))
    >>> params = stack.init(jax.random.key(0))
    >>> carry, layers = rnn.words.layer_outputs(stack, params, jnp.ones((7, 2, 3)))
    >>> [ys.shape for ys in layers]
    [(7, 2, 4), (7, 2, 5)]
    """
    stack = instance(LayerStack, ", made by stack")("layer_outputs: the first argument", stack)
    params = taken_tree(stack, "params", params)
    check_params(stack, params, xs)
    if carry is not None and not (isinstance(carry, tuple) and len(carry) == len(stack.layers)):
        raise StructureError(
            f"{stack!r}: carry must be a tuple of {len(stack.layers)}, one a layer, as "
            f"initial_carry makes it, got {short(carry)}."
        )
    if key is not None:
        key = one_key("layer_outputs: key", key)
    after, outputs = [], []
    for index, layer in enumerate(stack.layers):
        own = None if key is None else jax.random.fold_in(key, index)  # as Steps.member
        before = None if carry is None else carry[index]
        then, xs = unroll(layer, params[index], xs, before, key=own, **options)
        after.append(then)
        outputs.append(xs)
    return tuple(after), tuple(outputs)


def contextual_vectors(
    stack: LayerStack,
    params: tuple[Params, ...],
    xs: Any,
    carry: tuple[Carry, ...] | None = None,
    **options: Any,
) -> tuple[tuple[Carry, ...], tuple[jax.Array, ...]]:
    """The vectors that a model has of each token, with what it has read so far in them.

    Layer 0 is what the lowest layer emits: for an `Embedding` the vector of the token, whatever is
    around it. Then comes what each layer with a memory emits: it depends on this token and those
    before, or with `reverse=True` on this token and those after. Layers without a memory, such as
    dropout or the output of a language model, have no entry.

    A text that is read in pieces has the same vectors as in one: hand the carry on.

    Those of a forward and of a backward language model side by side, and a learned mixture of all
    layers (`rnn_jax.LayerMix`), are ELMo: Peters et al., Deep contextualized word representations,
    NAACL 2018 (arXiv:1802.05365). A backward model is one that was trained on reversed texts.

    Args, returns, raises: as `layer_outputs`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> stack = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 4), rnn.Dropout(4, 0.5), rnn.LSTM(4, 4))
    >>> ahead, behind = (stack.init(jax.random.key(seed)) for seed in (0, 1))
    >>> calm, tokens = stack.deterministic(), jnp.zeros((7, 2), jnp.int32)
    >>> _, forward = rnn.words.contextual_vectors(calm, ahead, tokens)
    >>> _, backward = rnn.words.contextual_vectors(calm, behind, tokens, reverse=True)
    >>> layers = jnp.stack([*map(rnn.concatenate, forward, backward)], axis=-2)
    >>> layers.shape
    (7, 2, 3, 8)
    >>> mix = rnn.LayerMix(layers=3, features=8)
    >>> rnn.unroll(mix, mix.init(jax.random.key(2)), layers)[1].shape
    (7, 2, 8)
    """
    carry, outputs = layer_outputs(stack, params, xs, carry, **options)
    remembers = [bool(jax.tree.leaves(c)) for c in carry]
    return carry, tuple(ys for n, ys in enumerate(outputs) if n == 0 or remembers[n])
