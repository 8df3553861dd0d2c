"""Attention: a memory `(S, *batch, M)`, read by a query, behind the loop or within it."""

from rnn_jax.attention.additive import Additive, AdditiveParams
from rnn_jax.attention.attention import Attention
from rnn_jax.attention.attentive import (
    Attentive,
    AttentiveCarry,
    AttentiveParams,
    attentive,
    hidden_state,
)
from rnn_jax.attention.location import LocationSensitive, LocationSensitiveParams
from rnn_jax.attention.multiplicative import Dot, General
from rnn_jax.attention.readout import AttentionReadout, AttentionReadoutParams
from rnn_jax.attention.score import Score
from rnn_jax.attention.with_memory import with_memory
from rnn_jax.recurrence.memory import AttentionParams, Memory

__all__ = [
    "Additive",
    "AdditiveParams",
    "Attention",
    "AttentionParams",
    "AttentionReadout",
    "AttentionReadoutParams",
    "Attentive",
    "AttentiveCarry",
    "AttentiveParams",
    "Dot",
    "General",
    "LocationSensitive",
    "LocationSensitiveParams",
    "Memory",
    "Score",
    "attentive",
    "hidden_state",
    "with_memory",
]
