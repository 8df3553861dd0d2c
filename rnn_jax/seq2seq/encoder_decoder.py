"""An encoder, a bridge and a decoder as one value: one sequence in, another out."""

import dataclasses
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.arrays import one_key, taken
from rnn_jax.arguments.settings import Of, at_least, floating, instance, settle
from rnn_jax.attention.with_memory import attentions, with_memory
from rnn_jax.cell import Carry, Cell, Layer, Method, Params
from rnn_jax.combinators.fit import describe, output
from rnn_jax.errors import ArgumentError
from rnn_jax.methods.bptt import BPTT
from rnn_jax.noise import some_key
from rnn_jax.seq2seq.bridges import Bridge
from rnn_jax.unroll import unroll


class EncoderDecoderParams(NamedTuple):
    """The params of encoder, bridge and decoder: one pytree that an optimiser trains."""

    encoder: Params
    """The params of the encoder."""
    bridge: Params
    """The params of the bridge."""
    decoder: Params
    """The params of the decoder; its memory is put beside them by `encode`."""


@dataclasses.dataclass(frozen=True)
class EncoderDecoder:
    """An encoder that reads one sequence, and a decoder that writes another, token by token.

    The decoder begins with what the bridge makes of the encoder's last carry, and with the token
    `start`; whatever attends inside of it reads all that the encoder has emitted. A value, as
    layers are. Sources: Sutskever, Vinyals & Le, NeurIPS 2014; Cho et al., EMNLP 2014; with
    attention: Bahdanau, Cho & Bengio, ICLR 2015, arXiv:1409.0473.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.attention import Additive, Attention, attentive
    >>> from rnn_jax.seq2seq import DenseBridge, EncoderDecoder, encode, loss
    >>> model = EncoderDecoder(
    ...     encoder=rnn.stack(rnn.Embedding(9, 4), rnn.bidirectional(rnn.GRU(4, 3), rnn.GRU(4, 3))),
    ...     bridge=DenseBridge(),
    ...     decoder=rnn.stack(
    ...         rnn.Embedding(7, 4),
    ...         attentive(rnn.GRU(4 + 6, 5), Attention(5, 6, Additive(features=8))),
    ...         rnn.Dense(5 + 6, 7),
    ...     ),
    ...     start=0,
    ... )
    >>> params = model.init(jax.random.key(0))
    >>> source, target = jnp.ones((8, 2), int), jnp.ones((5, 2), int)
    >>> losses = jax.jit(loss, static_argnums=0)
    >>> losses(model, params, source, target, source_lengths=jnp.array([8, 3])).shape
    ()

    Raises `StructureError` where encoder, decoder or bridge are something else, and `ArgumentError`
    for a decoder that does not read tokens and emit logits, for one that attends to a memory of
    another width than what the encoder emits, and for a bridge that does not fit.
    """

    encoder: Layer
    """Any layer, one that reads from both ends too."""
    bridge: Bridge
    """`DenseBridge()`, `CopyBridge()`, `NoBridge()` or one of your own."""
    decoder: Cell
    """Tokens `(*batch)` -> logits `(*batch, V)` of the next token."""
    start: int
    """The token that the decoder reads first."""

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        settle(self, encoder=instance(Layer), bridge=instance(Bridge), decoder=instance(Cell))
        settle(self, start=at_least(0))
        if self.decoder.input.shape != () or self.decoder.input.kind is not jnp.integer:
            raise ArgumentError(
                f"EncoderDecoder: the decoder must read one token a step, an integer; "
                f"{self.decoder!r} reads {describe(self.decoder.input)}. A stack that begins with "
                "an Embedding reads tokens."
            )
        for name in ("encoder", "decoder"):
            emitted = output(getattr(self, name))
            if len(emitted.shape) != 1:
                raise ArgumentError(
                    f"EncoderDecoder: the {name} must emit a vector a step; "
                    f"{getattr(self, name)!r} emits {describe(emitted)}."
                )
        width = output(self.encoder).shape[0]
        for attention in attentions(self.decoder):
            if attention.memory_size != width:
                raise ArgumentError(
                    f"EncoderDecoder: the encoder emits {width} numbers a step, but "
                    f"{attention!r} of the decoder reads a memory of {attention.memory_size}."
                )
        jax.eval_shape(self.init, some_key())

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> EncoderDecoderParams:
        """Draw the params of all three, each from a key of its own."""
        key = one_key("EncoderDecoder.init: key", key)
        dtype = floating("EncoderDecoder.init: dtype", dtype)
        k_encoder, k_bridge, k_decoder = jax.random.split(key, 3)
        encoder, decoder = self.encoder.init(k_encoder, dtype), self.decoder.init(k_decoder, dtype)
        given = jax.tree.leaves(jax.eval_shape(self.encoder.initial_carry, encoder))
        wanted = [leaf for leaf in self._wanted() if leaf.size]
        return EncoderDecoderParams(
            encoder, self.bridge.init(k_bridge, given, wanted, dtype), decoder
        )

    def deterministic(self) -> "EncoderDecoder":
        """The model without its noise, for the same params: what evaluation runs."""
        decoder = cast(Cell, self.decoder.deterministic())
        return dataclasses.replace(self, encoder=self.encoder.deterministic(), decoder=decoder)

    def begin(
        self, params: EncoderDecoderParams, given: Carry, batch_shape: tuple[int, ...]
    ) -> Carry:
        """The decoder's first carry, from the encoder's last; with its memory beside the params."""
        initial = self.decoder.initial_carry(params.decoder, batch_shape)
        leaves, structure = jax.tree.flatten(initial)
        bridged = [i for i, leaf in enumerate(self._wanted()) if leaf.size]
        begun = self.bridge.begin(
            params.bridge, jax.tree.leaves(given), [leaves[i] for i in bridged], len(batch_shape)
        )
        for i, leaf in zip(bridged, begun, strict=True):
            leaves[i] = leaf
        return jax.tree.unflatten(structure, leaves)

    def _wanted(self) -> list[Any]:
        """The shapes of the decoder's carry without a memory: what depends on one is empty."""
        decoder = self.decoder
        return jax.tree.leaves(
            jax.eval_shape(lambda key: decoder.initial_carry(decoder.init(key)), some_key())
        )


def encode(
    model: EncoderDecoder,
    params: EncoderDecoderParams,
    source: Any,
    *,
    lengths: Any = None,
    mask: Any = None,
    key: jax.Array | None = None,
    method: Method = BPTT(),
) -> tuple[Cell, Params, Carry]:
    """Read the source: the decoder, its params with what it attends to, and where it begins.

    What decoding takes: `f(cell, params, start, carry=carry)`, with a start of
    `jnp.full((1, *batch), model.start)`. Where nothing in the decoder attends, the carry is all
    that it is given. A memory that is read by K beams needs no copies: axes before its batch axes
    share it; those of the carry are made by `jnp.broadcast_to`.

    Args:
      model: An `EncoderDecoder`.
      params: Its params.
      source: `(S, *batch, ...)`: what the encoder reads.
      lengths: `(*batch)` of integers, how many steps each source has, as for `unroll`.
      mask: `(S, *batch)` of bool, as for `unroll`; where it is false there is no memory either.
      key: For an encoder with noise.
      method: How the encoder goes through time.

    Raises:
      StructureError: What is no `EncoderDecoder`, or no params of one; and what `unroll` raises.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.seq2seq import CopyBridge, EncoderDecoder, encode
    >>> encoder = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5))
    >>> decoder = rnn.stack(rnn.Embedding(7, 4), rnn.GRU(4, 5), rnn.Dense(5, 7))
    >>> model = EncoderDecoder(encoder, CopyBridge(), decoder, start=0)
    >>> params = model.init(jax.random.key(0))
    >>> cell, decoding, carry = encode(model, params, jnp.ones((8, 2), int))
    >>> carry, logits = rnn.step(cell, decoding, jnp.full(2, model.start), carry)
    >>> logits.shape
    (2, 7)
    """
    check_model("encode", model, params)
    source = taken(Of(model.encoder, "source"), source)
    last, memory = unroll(
        model.encoder,
        params.encoder,
        source,
        lengths=lengths,
        mask=mask,
        key=key,
        method=method,
    )
    decoder = params.decoder
    if any(True for _ in attentions(model.decoder)):
        decoder = with_memory(model.decoder, decoder, memory, lengths=lengths, mask=mask)
    carry = model.begin(params._replace(decoder=decoder), last, tuple(memory.shape[1:-1]))
    return model.decoder, decoder, carry


def check_model(caller: str, model: Any, params: Any) -> None:
    """Raise where these are no `EncoderDecoder` and its params."""
    instance(EncoderDecoder)(f"{caller}: model", model)
    instance(EncoderDecoderParams, ", made by model.init(key)")(f"{caller}: params", params)
