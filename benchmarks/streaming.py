"""`python -m benchmarks.streaming`: one step of an LSTM at batch 1, beside one written by hand."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp

import rnn_jax as rnn
from benchmarks.report import RESULTS, about, spread, with_machine, write
from benchmarks.report import table as as_table
from benchmarks.timing import interleaved, quartiles

HIDDEN, STEPS = 256, 512
BY_HAND = "by hand"


def main() -> None:
    """Time the ways to take STEPS steps, print the table, write both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=31)
    parser.add_argument("--output", type=Path, default=RESULTS / "streaming")
    options = parser.parse_args()
    result = with_machine(rows=measure(HIDDEN, STEPS, options.repetitions))
    print(write(options.output, result, table))


def measure(hidden: int, steps: int, repetitions: int) -> dict:
    """Microseconds a step of each way, and the ratio to the one by hand, paired by repetition."""
    seconds = interleaved(ways(hidden, steps), repetitions)
    return {
        name: {
            "microseconds": quartiles(1e6 * t / steps),
            "ratio": quartiles(t / seconds[BY_HAND]),
        }
        for name, t in seconds.items()
    }


def ways(hidden: int, steps: int) -> dict[str, Callable[[], None]]:
    """Each way to run a stream of `steps` steps, every output waited for before the next input."""
    cell = rnn.LSTM(hidden, hidden)
    params = cell.init(jax.random.key(0))
    xs = [jax.random.normal(jax.random.key(i), (hidden,)) for i in range(steps)]
    start = cell.initial_carry(params)

    @jax.jit
    def by_hand(params: rnn.LSTMParams, x: jax.Array, carry: rnn.LSTMCarry) -> tuple:
        """The equations, and nothing else."""
        a = x @ params.w_xh + carry.h @ params.w_hh + params.b_h
        i, f, g, o = jnp.split(a, 4)
        c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return rnn.LSTMCarry(h, c), h

    step = jax.jit(lambda params, x, carry: rnn.step(cell, params, x, carry))

    def stepped(take: Callable, start: rnn.Carry = start) -> Callable[[], None]:
        def run() -> None:
            carry = start
            for x in xs:
                carry, y = take(x, carry)
                y.block_until_ready()

        return run

    def streamed(block: int) -> Callable[[], None]:
        def run() -> None:
            outputs: Iterator = rnn.stream(cell, params, xs, start, block=block)
            for _, ys in outputs:
                ys.block_until_ready()

        return run

    call = jax.jit(rnn.export(cell, params).run.call)
    return {
        BY_HAND: stepped(lambda x, carry: by_hand(params, x, carry)),
        "step": stepped(lambda x, carry: step(params, x, carry)),
        "exported step": stepped(call, start._asdict()),
        "stream, block=1": streamed(1),
        "stream, block=16": streamed(16),
        "stream, block=64": streamed(64),
    }


def table(result: dict) -> str:
    """The result in Markdown."""
    lines = [
        f"One step of an LSTM with {HIDDEN} units at batch 1, float32. {about(result)}.",
        "",
        "Microseconds a step, each output waited for; a ratio is the median over interleaved",
        "repetitions, with its quartiles: above 1 is slower than the step written by hand.",
        "",
    ]
    rows = [
        [name, f"{row['microseconds'][1]:.1f}", spread(row["ratio"])]
        for name, row in result["rows"].items()
    ]
    return "\n".join([*lines, *as_table(["", "µs/step", f"/ {BY_HAND}"], rows)]) + "\n"


if __name__ == "__main__":
    main()
