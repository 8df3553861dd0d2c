"""Losses."""

import jax.numpy as jnp

import rnn_jax as rnn

HS, TABLE, B = jnp.ones((7, 2, 5)), jnp.ones((9, 5)), jnp.zeros(9)
TARGETS = jnp.zeros((7, 2), jnp.int32)


def loss(hs=HS, table=TABLE, b=B, targets=TARGETS):
    return lambda: rnn.linear_cross_entropy(hs, table, b, targets)


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
        loss(targets=jnp.ones((7, 2))),
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
}
