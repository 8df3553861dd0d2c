"""Losses."""

import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn

HS, TABLE, B = np.ones((7, 2, 5)), np.ones((9, 5)), np.zeros(9)
TARGETS = np.zeros((7, 2), jnp.int32)


def loss(hs=HS, table=TABLE, b=B, targets=TARGETS):
    return lambda: rnn.linear_cross_entropy(hs, table, b, targets)


def ctc(logits=HS, labels=TARGETS[:3], **more):
    return lambda: rnn.ctc_loss(logits, labels, **more)


ROWS = {
    "linear_cross_entropy: the weights of a Dense layer": (
        loss(table=TABLE.T),
        rnn.ShapeError,
        r"table must have shape \(V, 5\), a row a class.*got \(5, 9\); take its transpose",
    ),
    "linear_cross_entropy: no class": (
        loss(table=TABLE[:0], b=B[:0]),
        rnn.ShapeError,
        r"table must have shape \(V, 5\).*got \(0, 5\)\.",
    ),
    "linear_cross_entropy: a bias for all": (
        loss(b=0.0),
        rnn.ShapeError,
        r"b must have shape \(9,\), a bias a row of the table, got \(\); jnp\.zeros\(9\)",
    ),
    "linear_cross_entropy: flat targets": (
        loss(targets=TARGETS.ravel()),
        rnn.ShapeError,
        r"targets must have shape \(7, 2\), that of hs without its last axis, got \(14,\)",
    ),
    "linear_cross_entropy: one-hot targets": (
        loss(targets=np.ones((7, 2))),
        rnn.DtypeError,
        r"targets must be integers.*targets\.argmax\(-1\)",
    ),
    "linear_cross_entropy: a number": (
        loss(hs=1.0, targets=0),
        rnn.ShapeError,
        r"hs must have shape \(\.\.\., H\) and at least one row, got \(\)",
    ),
    "linear_cross_entropy: no row": (
        loss(hs=HS[:0], targets=TARGETS[:0]),
        rnn.ShapeError,
        r"at least one row, got \(0, 2, 5\)",
    ),
    "linear_cross_entropy: integers": (
        loss(hs=HS.astype(int)),
        rnn.DtypeError,
        "hs must be floating, got int",
    ),
    "linear_cross_entropy: a table of half the digits": (
        loss(table=TABLE.astype(jnp.bfloat16)),
        rnn.DtypeError,
        "table is bfloat16 but hs is float.., and nothing is promoted silently",
    ),
    "linear_cross_entropy: params for the table": (
        loss(table={"w": TABLE}),
        rnn.StructureError,
        "table must be an array of numbers, got",
    ),
    "ctc_loss: batch first": (
        ctc(labels=TARGETS.T),
        rnn.ShapeError,
        r"labels must have shape \(L, \*batch\), with the batch axes \(2,\) of.*got \(2, 7\)",
    ),
    "ctc_loss: labels of a half": (
        ctc(labels=np.ones((3, 2))),
        rnn.DtypeError,
        "ctc_loss: labels must be integers, got float",
    ),
    "ctc_loss: labels in letters": (
        ctc(labels="ab"),
        rnn.StructureError,
        "ctc_loss: labels must be an array of numbers, got 'ab'",
    ),
    "ctc_loss: integers": (
        ctc(logits=HS.astype(int)),
        rnn.DtypeError,
        "ctc_loss: logits must be floating, got int",
    ),
    "ctc_loss: one step": (
        ctc(logits=HS[0, 0]),
        rnn.ShapeError,
        r"logits must have shape \(T, \*batch, V\) and at least one step, got \(5,\)",
    ),
    "ctc_loss: a blank that is no class": (
        ctc(blank=5),
        rnn.ArgumentError,
        "ctc_loss: blank must be a class, from 0 to 4, got 5",
    ),
    "ctc_loss: a length over T": (
        ctc(lengths=[7, 8]),
        rnn.ArgumentError,
        r"ctc_loss: lengths\[1\] is 8, but logits has 7 steps",
    ),
    "ctc_loss: a length over L": (
        ctc(label_lengths=[4, 3]),
        rnn.ArgumentError,
        r"ctc_loss: label_lengths\[0\] is 4, but labels has 3 steps",
    ),
}
