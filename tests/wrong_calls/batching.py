"""Batches of sequences, and tasks."""

import numpy as np

import rnn_jax as rnn
from rnn_jax import batching, tasks
from tests.wrong_calls.given import KEY, KEYS, MASKED

SEQUENCES = [np.ones((steps, 2), np.float32) for steps in (2, 5, 3)]
PADDED = batching.pad(SEQUENCES)
PACKED = next(batching.pack(SEQUENCES, 6, 2))


def packed(**options):
    return lambda: batching.pack(SEQUENCES, 6, 2, **options)


def bucketed(buckets=2, **options):
    return lambda: batching.bucket(SEQUENCES, buckets, 2, **options)


ROWS = {
    "batching.pad: a generator": (
        lambda: batching.pad(s for s in SEQUENCES),
        rnn.StructureError,
        r"pad: sequences must be a list of arrays, got a generator; list\(\.\.\.\) makes one",
    ),
    "batching.pad: sequences by their names": (
        lambda: batching.pad({"a": SEQUENCES[0]}),
        rnn.StructureError,
        "pad: sequences must be a list of arrays, got a dict",
    ),
    "batching.pad: lists": (
        lambda: batching.pad([[1, 2], [3]]),
        rnn.StructureError,
        r"pad: sequences\[0\] must be an array of its steps.*got \[1, 2\]; np\.asarray",
    ),
    "batching.pad: objects": (
        lambda: batching.pad([np.array([None, 1])]),
        rnn.DtypeError,
        r"pad: sequences\[0\] must be of numbers, got object of shape \(2,\)",
    ),
    "batching.pad: keys": (
        lambda: batching.pad([KEYS]),
        rnn.DtypeError,
        r"pad: sequences\[0\] must be of numbers, got key",
    ),
    "batching.pad: a masked array": (
        lambda: batching.pad([MASKED]),
        rnn.StructureError,
        r"pad: sequences\[0\] is a masked array with masked entries",
    ),
    "batching.pad: a length in letters": (
        lambda: batching.pad(SEQUENCES, "9"),
        rnn.ArgumentError,
        "pad: length must be a positive integer, got '9'",
    ),
    "batching.pack: a key for a generator": (
        packed(rng=KEY),
        rnn.ArgumentError,
        r"pack: rng must be a NumPy generator, np\.random\.default_rng\(seed\), or None; got key",
    ),
    "batching.pack: a seed for a generator": (
        packed(rng=0),
        rnn.ArgumentError,
        "pack: rng must be a NumPy generator.*got 0",
    ),
    "batching.bucket_pairs: a source without its target": (
        lambda: batching.bucket_pairs(SEQUENCES, SEQUENCES[:2], 2, 2),
        rnn.ArgumentError,
        "bucket_pairs: each source needs its target, got 3 sources and 2 targets",
    ),
    "batching.bucket_pairs: no buckets": (
        lambda: batching.bucket_pairs(SEQUENCES, SEQUENCES, 0, 2),
        rnn.ArgumentError,
        "bucket_pairs: buckets must be a positive integer, got 0",
    ),
    "batching.bucket: a module for a generator": (
        bucketed(rng=np.random),
        rnn.ArgumentError,
        "bucket: rng must be a NumPy generator.*got a module",
    ),
    "batching.bucket: ragged ends": (
        bucketed([[1], [2, 5]]),
        rnn.ArgumentError,
        r"bucket: buckets must be increasing positive integers, got \[\[1\], \[2, 5\]\]",
    ),
    "batching.bucket: no buckets": (
        bucketed(None),
        rnn.ArgumentError,
        "bucket: buckets must be increasing positive integers, got None",
    ),
    "batching.boundaries: sequences for lengths": (
        lambda: batching.boundaries(SEQUENCES, 2, 1),
        rnn.ArgumentError,
        "boundaries: lengths must be integers of 0 or more, got a list",
    ),
    "batching.boundaries: a negative length": (
        lambda: batching.boundaries([3, -1], 2, 1),
        rnn.ArgumentError,
        r"boundaries: lengths must be integers of 0 or more, got \[3, -1\]",
    ),
    "batching.jit_at_most: no function": (
        lambda: batching.jit_at_most(3, 1),
        rnn.ArgumentError,
        "jit_at_most: f must be a function, got 3",
    ),
    "batching.jit_at_most: a function without a signature": (
        lambda: batching.jit_at_most(max, 1),
        rnn.ArgumentError,
        "jit_at_most: .*max.* does not tell its arguments; wrap it in a lambda",
    ),
    "batching.Padded: outputs with batch first": (
        lambda: PADDED.split(np.ones((3, 5))),
        rnn.ShapeError,
        r"Padded\.split: ys must have the axes of steps and rows, \(5, 3\), in front, got shape "
        r"\(3, 5\)",
    ),
    "batching.Packed: outputs of fewer steps": (
        lambda: PACKED.split(np.ones((5, 2))),
        rnn.ShapeError,
        r"Packed\.split: ys must have the axes of steps and rows, \(6, 2\), in front",
    ),
    "tasks.adding: a seed": (
        lambda: tasks.adding(0, 50, 4),
        rnn.StructureError,
        r"adding: key must be one key, made by jax\.random\.key\(seed\), got 0",
    ),
    "tasks.adding: one step": (
        lambda: tasks.adding(KEY, 1, 4),
        rnn.ArgumentError,
        "adding: length must be an integer of at least 2, for two steps are marked, got 1",
    ),
    "tasks.copy_memory: several keys": (
        lambda: tasks.copy_memory(KEYS, 50, 4),
        rnn.StructureError,
        r"copy_memory: key must be one key.*take one of them, keys\[0\]",
    ),
    "tasks.copy_memory: batch axes for a batch": (
        lambda: tasks.copy_memory(KEY, 50, (4,)),
        rnn.ArgumentError,
        r"copy_memory: batch_size must be a positive integer, got \(4,\)",
    ),
    "tasks.delayed_xor: one delay twice": (
        lambda: tasks.delayed_xor(KEY, 50, 4, delays=(5, 5)),
        rnn.ArgumentError,
        r"delayed_xor: delays must be increasing positive integers, got \(5, 5\)",
    ),
    "tasks.copy_memory: one symbol": (
        lambda: tasks.copy_memory(KEY, 50, 4, symbols=1),
        rnn.ArgumentError,
        "copy_memory: symbols must be an integer of at least 2, for one symbol alone need not be",
    ),
    "tasks.copy_memory: nothing to copy": (
        lambda: tasks.copy_memory(KEY, 50, 4, copied=0),
        rnn.ArgumentError,
        "copy_memory: copied must be a positive integer, got 0",
    ),
    "tasks.temporal_order: no key": (
        lambda: tasks.temporal_order(None, 50, 4),
        rnn.StructureError,
        "temporal_order: key must be one key.*got None",
    ),
    "tasks.temporal_order: integers for numbers": (
        lambda: tasks.temporal_order(KEY, 50, 4, dtype=int),
        rnn.ArgumentError,
        "temporal_order: dtype must be a floating dtype.*got the class int",
    ),
}
