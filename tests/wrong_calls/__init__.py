"""Calls that are wrong, by area: `"name: what is wrong" -> (call, error, what the message says)`.

The name is that of a public function or class, without `rnn_jax.`; of each that can be called
wrongly there is a row.
"""

from tests.wrong_calls import (
    analysis,
    attention,
    batching,
    combinators,
    decoding,
    interop,
    layers,
    losses,
    numbers,
    pictures,
    running,
    seq2seq,
    sharing,
    training,
    words,
)

TABLES = (
    analysis,
    attention,
    batching,
    combinators,
    decoding,
    interop,
    layers,
    losses,
    numbers,
    pictures,
    running,
    seq2seq,
    sharing,
    training,
    words,
)
WRONG_CALLS = {name: row for table in TABLES for name, row in table.ROWS.items()}
assert len(WRONG_CALLS) == sum(len(table.ROWS) for table in TABLES), "two rows of one name"
