"""Attention: what reads a memory, and the memory that it reads."""

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax.attention import (
    Additive,
    Attention,
    AttentionReadout,
    Attentive,
    Dot,
    General,
    LocationSensitive,
    attentive,
    with_memory,
)
from tests.wrong_calls.given import BOTH_WAYS, CELL, KEY, MODEL, MODEL_PARAMS, made

ATTENTION = Attention(5, 4, General())
LOCATED = Attention(5, 4, LocationSensitive(3, 2, 3))
LEARNED = rnn.learned_carry(attentive(rnn.GRU(3 + 4, 5), LOCATED))
DECODER = rnn.stack(attentive(rnn.GRU(3 + 4, 5), ATTENTION), rnn.Dense(9, 2))
PARAMS = made(DECODER)
MEMORY = np.ones((6, 2, 4), jnp.float32)
BESIDE = with_memory(DECODER, PARAMS, MEMORY)
XS = np.ones((7, 2, 3), jnp.float32)


def beside(memory=MEMORY, cell=DECODER, params=PARAMS, **options):
    return lambda: with_memory(cell, params, memory, **options)


ROWS = {
    "attention.Additive: no units": (
        lambda: Additive(0),
        rnn.ArgumentError,
        "Additive: features must be a positive integer, got 0",
    ),
    "attention.LocationSensitive: half a place": (
        lambda: LocationSensitive(3, 2, 1.5),
        rnn.ArgumentError,
        r"LocationSensitive: width must be a positive integer, got 1\.5",
    ),
    "attention.Attention: a score by its name": (
        lambda: Attention(5, 4, "general"),
        rnn.StructureError,
        r"Attention: score must be a Score, such as Additive.*got 'general'",
    ),
    "attention.Attention: a class for a score": (
        lambda: Attention(5, 4, General),
        rnn.StructureError,
        "score must be a Score.*got the class General",
    ),
    "attention.Attention: no memory size": (
        lambda: Attention(5, None, General()),
        rnn.ArgumentError,
        "Attention: memory_size must be a positive integer, got None",
    ),
    "attention.Attention: a dot of unlike sizes": (
        lambda: Attention(5, 4, Dot()).init(KEY),
        rnn.ArgumentError,
        r"Dot: query and memory must be as long.*query_size=5 and memory_size=4; General\(\)",
    ),
    "attention.Attention: a location without a carry": (
        lambda: rnn.stack(CELL, LOCATED, rnn.Dense(4, 2)),
        rnn.ArgumentError,
        r"reads the weights of the step before.*attentive\(cell, attention\) carries them",
    ),
    "attention.AttentionReadout: a score": (
        lambda: AttentionReadout(General(), 5),
        rnn.StructureError,
        r"AttentionReadout: attention must be an Attention, got General\(\)",
    ),
    "attention.AttentionReadout: nothing": (
        lambda: AttentionReadout(ATTENTION, 0),
        rnn.ArgumentError,
        "AttentionReadout: features must be a positive integer, got 0",
    ),
    "attention.attentive: a layer without a step": (
        lambda: attentive(BOTH_WAYS, ATTENTION),
        rnn.ArgumentError,
        r"attentive: the cell is LayerStack\(.*not a rnn_jax.Cell",
    ),
    "attention.attentive: a score": (
        lambda: attentive(CELL, General()),
        rnn.ArgumentError,
        r"attentive: the attention is General\(\), which is not a rnn_jax.Attention",
    ),
    "attention.attentive: no room for the context": (
        lambda: attentive(rnn.GRU(4, 5), ATTENTION),
        rnn.ArgumentError,
        r"behind it, 4 numbers of the context.*more than 4 numbers; GRU\(.*reads \(4,\)",
    ),
    "at_each: a memory": (
        lambda: rnn.at_each(DECODER, 2),
        rnn.ArgumentError,
        r"at_each: Stack\(.* attends to a memory of each sequence",
    ),
    "attention.attentive: tokens": (
        lambda: attentive(MODEL, ATTENTION),
        rnn.ArgumentError,
        r"must read vectors.*Stack\(.*reads \(\) of integer",
    ),
    "attention.attentive: a query of another size": (
        lambda: attentive(rnn.GRU(3 + 4, 6), ATTENTION),
        rnn.ArgumentError,
        r"reads queries \(5,\).*GRU\(.*query makes \(6,\)",
    ),
    "attention.attentive: a cell that carries nothing": (
        lambda: attentive(rnn.Dense(3 + 4, 5), ATTENTION),
        rnn.ArgumentError,
        r"of the carry of Dense\(.*query makes nothing",
    ),
    "attention.attentive: a learned carry of noise": (
        lambda: attentive(rnn.learned_carry(rnn.zoneout(rnn.GRU(7, 5), 0.5)), ATTENTION),
        rnn.ArgumentError,
        "is random, but its noise is drawn by the layer inside.*around what attentive makes",
    ),
    "attention.attentive: dropped inputs": (
        lambda: rnn.unroll(
            *(lambda cell: (cell, with_memory(cell, cell.init(KEY), MEMORY)))(
                attentive(rnn.variational(rnn.GRU(3 + 4, 5), 0.5, 0.0), ATTENTION)
            ),
            XS,
            key=KEY,
        ),
        rnn.ArgumentError,
        "changes its inputs before the loop.*dropout of inputs in front of the cell",
    ),
    "attention.attentive: a learned carry around weights": (
        lambda: rnn.unroll(LEARNED, with_memory(LEARNED, made(LEARNED), MEMORY), XS),
        rnn.ShapeError,
        "carry has weights of 0 places, but the memory has 6.*learned_carry goes inside attentive",
    ),
    "attention.Attentive: no cell": (
        lambda: Attentive(3, ATTENTION),
        rnn.StructureError,
        "Attentive: layer must be a Cell, got 3",
    ),
    "attention.hidden_state: a carry of nothing": (
        lambda: rnn.attention.hidden_state(()),
        rnn.StructureError,
        r"hidden_state: the carry has no array, got \(\)",
    ),
    "attention.with_memory: nothing reads it": (
        beside(cell=MODEL, params=MODEL_PARAMS),
        rnn.StructureError,
        r"with_memory: nothing inside Stack\(.*reads a memory; an Attention does",
    ),
    "attention.with_memory: no layer": (
        beside(cell=PARAMS),
        rnn.StructureError,
        "with_memory: the first argument must be a Layer",
    ),
    "attention.with_memory: params of another cell": (
        beside(params=PARAMS[0]),
        rnn.StructureError,
        "expected params of the form",
    ),
    "attention.with_memory: another width": (
        beside(MEMORY[..., :3]),
        rnn.ShapeError,
        r"memory must have shape \(S, \*batch, 4\), for Attention\(.*reads it, got \(6, 2, 3\)",
    ),
    "attention.with_memory: one place": (
        beside(MEMORY[0, 0]),
        rnn.ShapeError,
        r"memory must have shape \(S, \*batch, M\), got \(4,\)",
    ),
    "attention.with_memory: half the digits": (
        beside(MEMORY.astype(jnp.bfloat16)),
        rnn.DtypeError,
        r"memory is bfloat16 but params are float32.*memory\.astype\('float32'\)",
    ),
    "attention.with_memory: a carry for a memory": (
        beside(rnn.GRUCarry(MEMORY)),
        rnn.StructureError,
        r"memory must be an array of numbers, got GRUCarry\(h\)",
    ),
    "attention.with_memory: longer than the memory": (
        beside(lengths=[6, 7]),
        rnn.ArgumentError,
        r"lengths\[1\] is 7, but the memory has 6 places; a length is from 0 to 6",
    ),
    "attention.with_memory: lengths of another batch": (
        beside(lengths=[6, 6, 6]),
        rnn.ShapeError,
        r"lengths must have shape \(\*batch\) = \(2,\), got \(3,\)",
    ),
    "attention.with_memory: a mask of the decoder": (
        beside(mask=np.ones((7, 2), bool)),
        rnn.ShapeError,
        r"mask must have shape \(S, \*batch\) = \(6, 2\), got \(7, 2\)",
    ),
    "unroll: no memory": (
        lambda: rnn.unroll(DECODER, PARAMS, XS),
        rnn.StructureError,
        r"params\[0\]\.attention has no memory to attend to; .*with_memory\(cell, params, memory",
    ),
    "unroll: a memory of another batch": (
        lambda: rnn.unroll(DECODER, BESIDE, jnp.concatenate([XS, XS], 1)),
        rnn.ShapeError,
        r"memory at params\[0\]\.attention is that of a batch \(2,\), but .*axes \(4,\)",
    ),
    "unroll: a memory of half the digits": (
        lambda: rnn.unroll(
            DECODER, with_memory(DECODER, jax.tree.map(_half, PARAMS), _half(MEMORY)), XS
        ),
        rnn.DtypeError,
        "xs is float32 but params are bfloat16",
    ),
    "step: no memory": (
        lambda: rnn.step(DECODER, PARAMS, XS[0]),
        rnn.StructureError,
        "has no memory to attend to",
    ),
    "export: no memory": (
        lambda: rnn.export(DECODER, PARAMS, (2,)),
        rnn.StructureError,
        "has no memory to attend to",
    ),
    "fed_back: a layer without a step": (
        lambda: rnn.fed_back(BOTH_WAYS),
        rnn.ArgumentError,
        r"fed_back: the cell is LayerStack\(.*not a rnn_jax.Cell",
    ),
    "fed_back: no room for its output": (
        lambda: rnn.fed_back(rnn.GRU(3, 5)),
        rnn.ArgumentError,
        r"5 numbers of its last output.*more than 5 numbers; GRU\(.*reads \(3,\)",
    ),
    "fed_back: noise within": (
        lambda: rnn.fed_back(rnn.learned_carry(rnn.zoneout(rnn.GRU(3 + 5, 5), 0.5))),
        rnn.ArgumentError,
        "is random, but its noise is drawn by the layer inside.*around what fed_back makes",
    ),
    "FedBack: a number": (
        lambda: rnn.FedBack(3),
        rnn.StructureError,
        "FedBack: layer must be a Cell, got 3",
    ),
    "analysis.attention_weights: nothing attends": (
        lambda: rnn.analysis.attention_weights(MODEL, MODEL_PARAMS, np.zeros((7, 2), int)),
        rnn.StructureError,
        r"attention_weights: nothing inside Stack\(.*attends",
    ),
    "analysis.attention_weights: no memory": (
        lambda: rnn.analysis.attention_weights(DECODER, PARAMS, XS),
        rnn.StructureError,
        "has no memory to attend to",
    ),
    "analysis.attention_weights: a layer without a step": (
        lambda: rnn.analysis.attention_weights(BOTH_WAYS, (), XS),
        rnn.StructureError,
        "attention_weights: the first argument must be a Cell",
    ),
}


def _half(x):
    return x.astype(jnp.bfloat16)
