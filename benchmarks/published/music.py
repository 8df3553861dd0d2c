"""The next chord of a piece of music: `python -m benchmarks.published.music DATA`.

DATA has the piano rolls of Boulanger-Lewandowski (2012): an npz with `train_frames (N, 11)` of 88
keys as bits, `train_lengths`, and the same of `valid`; or a JSON of pitches a quarter, by split.
"""

import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rnn_jax as rnn
from benchmarks.published.frames import Independent, Joint, Network
from benchmarks.published.harness import Problem, main
from benchmarks.published.keys import at_keys, logit_at_keys
from rnn_jax import batching
from rnn_jax.language.errors import InputError

KEYS, LOWEST = 88, 21
"""Of a piano, and the pitch of the first of them."""
CELLS: dict[str, Callable[[int, int], rnn.Cell]] = {
    "elman": rnn.Elman,
    "gru": rnn.GRU,
    "lstm": rnn.LSTM,
}
ROWS = 4
"""Pieces that are scored side by side: few, for a network at each key keeps 88 times its states."""


class Windows(NamedTuple):
    """Some pieces of music of one length, of which shorter ones are padded."""

    frames: jax.Array
    """`(T + 1, B, 88)` bool."""
    lengths: jax.Array
    """`(B,)`: how many frames are to be foretold, each from those before it."""


def read(path: Path, split: str) -> list[np.ndarray]:
    """The pieces of a split, `(T, 88)` bool each; of a file with one split, those.

    Raises `InputError` where there is none.
    """
    if path.suffix == ".json":
        pieces = json.loads(path.read_text()).get(split, [])
        return [np.array([_keys(chord) for chord in piece]) for piece in pieces]
    with np.load(path) as file:
        names = [name for name in file if name.endswith("_frames")]
        name = f"{split}_frames" if f"{split}_frames" in names else (names or [""])[0]
        if not name:
            raise InputError(f"{path} must have arrays SPLIT_frames and SPLIT_lengths")
        bits = np.unpackbits(file[name], axis=1)[:, :KEYS].astype(bool)
        lengths = file[name.replace("_frames", "_lengths")]
    return np.split(bits, np.cumsum(lengths)[:-1])


def _keys(pitches: Iterable[int]) -> np.ndarray:
    return np.isin(np.arange(LOWEST, LOWEST + KEYS), list(pitches))


def build(data: Path, settings: dict, seed: int) -> Problem:
    """Learn the pieces of one file of the folder; its `valid` is for development."""
    path = data / settings["file"]
    train, development = read(path, "train"), read(path, "valid")
    model = network(settings)

    def loss(params: rnn.Params, batch: Windows, key: jax.Array) -> jax.Array:
        costs, real = frame_costs(model, params, batch, key)
        return jnp.sum(costs, where=real) / jnp.sum(real)

    def nll(params: rnn.Params, pieces: list[np.ndarray]) -> float:
        """Nats a frame, over all frames but the first of each piece."""
        totals = [(float(total), int(count)) for total, count in scored(model, params, pieces)]
        cost, frames = map(sum, zip(*totals, strict=True))
        return cost / frames

    return Problem(
        model.init(jax.random.key(seed)),
        loss,
        lambda rng: epoch(train, settings, rng),
        lambda params: nll(params, development),
        lambda params, file: {"NLL": nll(params, read(file, "test") if file else development)},
    )


def network(settings: dict) -> Network:
    """What foretells frames: all keys at once, or with a `reach` the same network at each key."""
    hidden, rate = settings["hidden"], settings["dropout"]
    cell, lost = CELLS[settings["cell"]], settings["dropout inputs"]
    inputs = [rnn.Dropout(KEYS, lost)] if lost else []
    if "reach" not in settings:
        return Independent(rnn.stack(*inputs, *at_once(cell, settings)))
    layers = [*inputs, *at_keys(KEYS, cell, settings)]
    if "along keys" not in settings:
        return Independent(rnn.stack(*layers, *logit_at_keys(KEYS, hidden)))
    along = settings["along keys"]
    over_keys = rnn.stack(cell(hidden + 1, along), rnn.Dropout(along, rate), rnn.Dense(along, 1))
    return Joint(rnn.stack(*layers), over_keys)


def at_once(cell: Callable[[int, int], rnn.Cell], settings: dict) -> list[rnn.Cell]:
    """Recurrent layers, each behind the one before."""
    hidden, reads = settings["hidden"], KEYS
    layers: list[rnn.Cell] = []
    for _ in range(settings["layers"]):
        layers += [cell(reads, hidden), rnn.Dropout(hidden, settings["dropout"])]
        reads = hidden
    return [*layers, rnn.Dense(hidden, KEYS)]


def frame_costs(
    model: Network, params: rnn.Params, batch: Windows, key: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """What each frame costs in nats, over its 88 keys, and which frames are there: `(T, B)`."""
    frames = batch.frames.astype(jnp.float32)
    logits = model.logits(params, frames, batch.lengths, key)
    costs = optax.sigmoid_binary_cross_entropy(logits, frames[1:]).sum(-1)
    return costs, jnp.arange(len(costs))[:, None] < batch.lengths


@functools.partial(jax.jit, static_argnums=0)
def _sum(model: Network, params: rnn.Params, batch: Windows) -> tuple[jax.Array, jax.Array]:
    costs, real = frame_costs(model, params, batch)
    return jnp.sum(costs, where=real), jnp.sum(real)


def scored(
    model: Network, params: rnn.Params, pieces: list[np.ndarray]
) -> Iterable[tuple[jax.Array, jax.Array]]:
    """(sum of costs, frames) of some pieces at a time, each read as a whole."""
    quiet = model.deterministic()
    for batch in batching.bucket(pieces, 4, ROWS):
        lengths = jnp.maximum(batch.lengths - 1, 0)
        yield _sum(quiet, params, Windows(batch.xs, lengths))


def epoch(pieces: list[np.ndarray], settings: dict, rng: np.random.Generator) -> Iterable[Windows]:
    """Windows of all pieces, as many of each as it is long, each moved by some semitones."""
    window, batch = settings["window"], settings["batch"]
    cuts = [
        (piece, int(rng.integers(0, max(1, len(piece) - window))))
        for piece in pieces
        for _ in range(-(-(len(piece) - 1) // window))
    ]
    order = rng.permutation(len(cuts))
    for start in range(0, len(order) - batch + 1, batch):
        frames = np.zeros((window + 1, batch, KEYS), bool)
        lengths = np.zeros(batch, np.int32)
        for row, index in enumerate(order[start : start + batch]):
            piece, at = cuts[index]
            part = transposed(piece[at : at + window + 1], settings["semitones"], rng)
            frames[: len(part), row], lengths[row] = part, len(part) - 1
        yield Windows(jnp.asarray(frames), jnp.asarray(lengths))


def transposed(frames: np.ndarray, semitones: int, rng: np.random.Generator) -> np.ndarray:
    """The same music higher or lower by at most so much, as far as the piano has keys for it."""
    (used,) = np.nonzero(frames.any(0))
    if not len(used):
        return frames
    least, most = max(-semitones, -used[0]), min(semitones, KEYS - 1 - used[-1])
    return np.roll(frames, rng.integers(least, most + 1), axis=1)


if __name__ == "__main__":
    main(build, __doc__)
