"""Digits, a pixel at a time: `python -m benchmarks.published.mnist DATA`.

DATA has the training images and labels of MNIST (LeCun et al. 1998) as idx files, packed by gzip or
not: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`.

Of the settings, `permutation` is the seed of the order in which pixels are read, null for rows from
the top; `split` that of which images are for development, `development` of them; and `epoch` is how
many images are learned from one look at development to the next.
"""

import functools
import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rnn_jax as rnn
from benchmarks.published.harness import Problem, main
from rnn_jax.language.errors import InputError

IMAGES, LABELS = "images-idx3", "labels-idx1"
"""What tells the two files of a split apart, in their names."""
CLASSES = 10
ROWS = 250
"""Images that are scored side by side."""


class Digits(NamedTuple):
    """Images in the order in which their pixels are read, and what they show."""

    pixels: np.ndarray
    """`(N, T)` uint8."""
    labels: np.ndarray
    """`(N,)` int32."""


class Params(NamedTuple):
    """Of the layers that read, and of the one that decides."""

    body: rnn.Params
    head: rnn.Params


def read_idx(path: Path) -> np.ndarray:
    """The array of bytes in an idx file.

    Raises `InputError` where it is none, or is shorter or longer than its header says.
    """
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    axes = data[3] if len(data) > 3 else 0
    shape = np.frombuffer(data[4 : 4 + 4 * axes], ">i4")
    body = np.frombuffer(data[4 + 4 * axes :], np.uint8)
    if data[:3] != b"\0\0\x08" or len(shape) != axes or len(body) != np.prod(shape):
        raise InputError(f"{path} is no whole idx file of bytes")
    return body.reshape(shape)


def read(images: Path) -> Digits:
    """A split, of the file of its images; its labels lie beside it. Pixels in rows from the top.

    Raises `InputError` where there are not as many labels as images.
    """
    path = images.with_name(images.name.replace(IMAGES, LABELS))
    pixels, labels = read_idx(images), read_idx(path)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise InputError(
            f"{images} must have as many images as {path} has labels; got shapes {pixels.shape} "
            f"and {labels.shape}"
        )
    return Digits(pixels.reshape(len(pixels), -1), labels.astype(np.int32))


def found(data: Path) -> Path:
    """The training images of a folder.

    Raises `InputError` where there are none.
    """
    files = sorted(data.glob(f"train-{IMAGES}-ubyte*"))
    if not files:
        raise InputError(f"{data} must have train-{IMAGES}-ubyte, or the same with .gz")
    return files[0]


def split(digits: Digits, development: int, seed: int) -> tuple[Digits, Digits]:
    """All but some, and those: which, the seed says. Files may be sorted by what they show."""
    order = np.random.default_rng(seed).permutation(len(digits.labels))
    return tuple(Digits(*(x[part] for x in digits)) for part in np.split(order, [-development]))


def arranged(digits: Digits, seed: int | None) -> Digits:
    """All images with their pixels in one order, by the seed; as they are without one."""
    if seed is None:
        return digits
    order = np.random.default_rng(seed).permutation(digits.pixels.shape[1])
    return digits._replace(pixels=digits.pixels[:, order])


def build(data: Path, settings: dict, seed: int) -> Problem:
    """Learn the training images, but for those that are for development."""

    def loaded(path: Path) -> Digits:
        return arranged(read(path), settings["permutation"])

    train, development = split(loaded(found(data)), settings["development"], settings["split"])
    body, head = network(settings)
    mean, deviation = np.float32(train.pixels.mean()), np.float32(train.pixels.std())
    k_body, k_head = jax.random.split(jax.random.key(seed))

    def costs(params: Params, pixels: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Nats of each image, and whether it was taken for what it is."""
        xs = (pixels.T[..., None] - mean) / deviation
        _, ys = rnn.unroll(body, params.body, xs, method=rnn.Automatic())
        logits = head.project(params.head, ys.mean(0))
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return nats, logits.argmax(-1) == labels

    def loss(params: Params, batch: Digits, key: jax.Array) -> jax.Array:
        del key
        return costs(params, *batch)[0].mean()

    @jax.jit
    def sums(params: Params, batch: Digits) -> tuple[jax.Array, jax.Array]:
        nats, right = costs(params, *batch)
        return nats.sum(), right.sum()

    def means(params: Params, digits: Digits) -> tuple[float, float]:
        parts = [sums(params, batch) for batch in batches(digits, ROWS)]
        return tuple(float(sum(values)) / len(digits.labels) for values in zip(*parts, strict=True))

    def right(params: Params, file: Path | None) -> dict[str, float]:
        return {"% right": 100 * means(params, loaded(file) if file else development)[1]}

    return Problem(
        Params(body.init(k_body), head.init(k_head)),
        loss,
        functools.partial(epoch, train, settings),
        lambda params: means(params, development)[0],
        right,
    )


def network(settings: dict) -> tuple[rnn.Layer, rnn.Dense]:
    """Pixels -> what is known after each of them; and the mean of that -> logits."""
    cell, units = settings["cell"], settings["units"]
    if cell == "gru":
        memory = rnn.Chrono(settings["longest"])
        return rnn.GRU(1, units, memory_bias=memory), rnn.Dense(units, CLASSES)
    if cell == "irnn":
        return rnn.IRNN(1, units), rnn.Dense(units, CLASSES)
    if cell == "lru":
        wide, radii = settings["features"], settings["radii"]
        linear = rnn.LRU(wide, units, *radii, max_phase=settings["max phase"])
        block = rnn.residual(rnn.stack(linear, rnn.Dense(wide, wide, jax.nn.gelu)))
        blocks = [block] * settings["layers"]
        return rnn.stack(rnn.Dense(1, wide), *blocks), rnn.Dense(wide, CLASSES)
    raise InputError(f"cell must be gru, irnn or lru, got {cell!r}")


def batches(digits: Digits, size: int) -> Iterable[Digits]:
    """All images, so many at a time."""
    for start in range(0, len(digits.labels), size):
        yield Digits(*(jnp.asarray(x[start : start + size]) for x in digits))


def epoch(digits: Digits, settings: dict, rng: np.random.Generator) -> Iterable[Digits]:
    """Some images, drawn anew each time: `epoch` of them, in whole batches."""
    count, size = settings["epoch"], settings["batch"]
    order = rng.permutation(len(digits.labels))[: count // size * size]
    yield from batches(Digits(*(x[order] for x in digits)), size)


if __name__ == "__main__":
    main(build, __doc__)
