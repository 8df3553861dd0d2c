"""What an encoder-decoder is trained by: how well it says each next token of the target."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.arguments import integers
from rnn_jax.arguments.arrays import count_of_steps, one_key, reals, taken
from rnn_jax.arguments.settings import Of, fraction
from rnn_jax.cell import Carry, Cell, Method, Params
from rnn_jax.combinators.stack import Stack
from rnn_jax.errors import ArgumentError, DtypeError, ShapeError
from rnn_jax.layers.dense import Dense
from rnn_jax.losses.linear_cross_entropy import linear_cross_entropy
from rnn_jax.methods.bptt import BPTT
from rnn_jax.seq2seq.encoder_decoder import (
    EncoderDecoder,
    EncoderDecoderParams,
    check_model,
    encode,
)
from rnn_jax.unroll import step, unroll


def loss(
    model: EncoderDecoder,
    params: EncoderDecoderParams,
    source: Any,
    target: Any,
    *,
    source_lengths: Any = None,
    target_lengths: Any = None,
    sampling: Any = None,
    key: jax.Array | None = None,
    method: Method = BPTT(),
) -> jax.Array:
    """The mean of `-log p(target_t | target_{<t}, source)` over all real tokens, in nats.

    Teacher forcing: at step t the decoder reads the target's token t - 1, and first
    `model.start`. The mean is over the tokens of the batch, so that a long target counts as much
    as it has tokens; what is padded, of either side, reaches neither value nor gradient. Let each
    target end with an end token, as its last real one, for decoding to know where to stop.

    With `sampling` the decoder reads, at each step and sequence by a chance of its own, a token
    that it has drawn from what it said at the step before, in place of the target's: scheduled
    sampling, by which it learns to go on after its own mistakes. No gradient passes a drawn token.
    A traced number, so that a schedule is no new program.

    Cost: `unroll` of encoder and decoder; with `sampling` also the decoder's forward pass step by
    step. Of a decoder that is a stack up to a `Dense`, logits are never there at once
    (`linear_cross_entropy`); in that case the derivative is reverse mode only. Sources: Sutskever,
    Vinyals & Le, NeurIPS 2014; scheduled sampling: Bengio et al., NeurIPS 2015, arXiv:1506.03099.

    Args:
      model: An `EncoderDecoder`.
      params: Its params.
      source: `(S, *batch, ...)`: what the encoder reads.
      target: `(T, *batch)` of integers: what the decoder is to say; a token outside the vocabulary
        costs NaN.
      source_lengths: `(*batch)` of integers; all S steps are real if None.
      target_lengths: `(*batch)` of integers; all T tokens are real if None.
      sampling: The probability that the decoder reads a token of its own; None for none.
      key: For a model with noise, and for `sampling`.
      method: How encoder and decoder go through time.

    Returns:
      A scalar; 0 where no token is real.

    Raises:
      StructureError: What is no `EncoderDecoder`, or no params of one.
      ShapeError, DtypeError: Source, target and their lengths do not fit together.
      ArgumentError: A length or a probability out of range, or a key that is missing.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.seq2seq import CopyBridge, EncoderDecoder, loss
    >>> encoder = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5))
    >>> decoder = rnn.stack(rnn.Embedding(7, 4), rnn.GRU(4, 5), rnn.Dense(5, 7))
    >>> model = EncoderDecoder(encoder, CopyBridge(), decoder, start=0)
    >>> params = model.init(jax.random.key(0))
    >>> source, target = jnp.ones((8, 2), int), jnp.ones((5, 2), int)
    >>> gradient = jax.jit(jax.grad(loss, 1), static_argnums=0)
    >>> grads = gradient(model, params, source, target, target_lengths=jnp.array([5, 2]))
    >>> grads.encoder[1].w_hh.shape
    (5, 15)
    """
    check_model("loss", model, params)
    if sampling is not None:
        sampling = _probability(sampling)
        if key is None:
            raise ArgumentError(
                "loss: sampling draws tokens and needs a key: pass key=jax.random.key(...)."
            )
    keys: Any = (None, None, None)
    if key is not None:
        keys = jax.random.split(one_key("loss: key", key), 3)
    k_encoder, k_decoder, k_sampling = keys
    cell, decoding, carry = encode(
        model, params, source, lengths=source_lengths, key=k_encoder, method=method
    )
    target = _target(model, target, jnp.shape(source))
    lengths = target_lengths
    if lengths is not None:
        name, batch = Of(cell, "lengths"), target.shape[1:]
        lengths = count_of_steps(name, lengths, batch, 0, len(target), "target")
    if not len(target):
        return jnp.zeros((), jax.tree.leaves(params)[0].dtype)
    first = jnp.full_like(target[:1], model.start)
    read = jnp.concatenate([first, target[:-1]])
    if sampling is not None:
        read = lax.stop_gradient(
            _partly_drawn(cell, decoding, carry, read, sampling, k_sampling, k_decoder)
        )
    if lengths is None:
        return jnp.mean(_losses(cell, decoding, carry, read, target, None, k_decoder, method))
    valid = lax.broadcasted_iota(lengths.dtype, target.shape, 0) < lengths[None]
    real = jnp.where(valid, target, 0)
    losses = _losses(cell, decoding, carry, read, real, valid, k_decoder, method)
    count = jnp.maximum(jnp.sum(valid, dtype=jnp.int32), 1).astype(losses.dtype)
    mean = jnp.sum(jnp.where(valid, losses, 0)) / count
    return jnp.where(jnp.any(lengths < 0), jnp.nan, mean)


def _probability(value: Any) -> Any:
    if not isinstance(value, jax.core.Tracer):
        return fraction("loss: sampling", value)
    if reals("loss: sampling", value).shape:
        raise ShapeError(f"loss: sampling must be a scalar, got shape {value.shape}.")
    return value


def _target(model: EncoderDecoder, target: Any, source: tuple[int, ...]) -> jax.Array:
    """The target as an array of tokens for the batch of the source."""
    target = integers.as_jax(taken("loss: target", target))
    batch_shape = source[1 : len(source) - len(model.encoder.input.shape)]
    if not target.ndim or target.shape[1:] != batch_shape:
        raise ShapeError(
            f"loss: target must have shape (T, *batch) with the batch axes of source, "
            f"{batch_shape}, got {target.shape}."
        )
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise DtypeError(f"loss: target must be integers, got {target.dtype}.")
    return target


def _losses(
    cell: Cell,
    params: Params,
    carry: Carry,
    read: jax.Array,
    target: jax.Array,
    valid: jax.Array | None,
    key: jax.Array | None,
    method: Method,
) -> jax.Array:
    """What each token of the target costs: `(T, *batch)`."""
    if isinstance(cell, Stack) and len(cell.layers) > 1 and isinstance(cell.layers[-1], Dense):
        # Everything below the output layer, whose logits are the largest arrays by far.
        body = Stack(cell.layers[:-1])
        _, hs = unroll(body, params[:-1], read, carry[:-1], mask=valid, key=key, method=method)
        return linear_cross_entropy(hs, params[-1].w.T, params[-1].b, target)
    _, logits = unroll(cell, params, read, carry, mask=valid, key=key, method=method)
    classes = integers.count(target, logits.shape[-1] - 1)
    scores = jax.nn.log_softmax(logits, -1)
    right = jnp.take_along_axis(scores, jnp.maximum(classes, 0)[..., None], -1)[..., 0]
    return jnp.where(classes < 0, jnp.nan, -right)


def _partly_drawn(
    cell: Cell,
    params: Params,
    carry: Carry,
    tokens: jax.Array,
    sampling: Any,
    key: jax.Array,
    noise: jax.Array,
) -> jax.Array:
    """The tokens that the decoder reads, some of them drawn from what it said before them."""
    k_coin, k_draw = jax.random.split(key)
    coins = jax.random.bernoulli(k_coin, sampling, tokens.shape).at[0].set(False)

    def one(state: tuple[Carry, jax.Array], at: Any) -> tuple[tuple[Carry, jax.Array], jax.Array]:
        carry, drawn = state
        token, coin, key, t = at
        token = jnp.where(coin, drawn, token)
        carry, logits = step(cell, params, token, carry, key=noise, t=t)
        drawn = jax.random.categorical(key, logits).astype(token.dtype)
        return (carry, drawn), token

    numbers = jnp.arange(len(tokens), dtype=jnp.uint32)
    keys = jax.random.split(k_draw, len(tokens))
    _, read = lax.scan(one, (carry, tokens[0]), (tokens, coins, keys, numbers))
    return read
