"""The table of MNIST: what is read, in which order, and who is kept apart from whom."""

import gzip

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.published import harness, mnist
from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError

SIDE = 6
SETTINGS = {
    "permutation": None,
    "development": 40,
    "split": 0,
    "batch": 20,
    "epoch": 150,
    "units": 8,
    "longest": 10,
    "features": 8,
    "layers": 1,
    "radii": [0.9, 0.999],
    "max phase": 0.5,
}


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def idx(array):
    """The bytes of a file, by the format's own words: magic number, sizes, numbers."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write(folder, split, images, labels, packed=False):
    pack, end = (gzip.compress, ".gz") if packed else (bytes, "")
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        (folder / f"{split}-{kind}-ubyte{end}").write_bytes(pack(idx(array)))
    return folder / f"{split}-images-idx3-ubyte{end}"


@pytest.fixture
def folder(tmp_path):
    """Noise, darker for a 0 and brighter for a 1, sorted by what it shows; in each image the first
    pixel says its number."""
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 2, 200)).astype(np.uint8)
    images = rng.integers(0, 100, (200, SIDE, SIDE)).astype(np.uint8)
    images += (100 * labels)[:, None, None].astype(np.uint8)
    images[:, 0, 0] = np.arange(200)
    write(tmp_path, "train", images, labels, packed=True)
    return tmp_path


def test_a_file_is_read_as_it_was_written(folder, tmp_path):
    digits = mnist.read(mnist.found(folder))
    assert digits.pixels.shape == (200, SIDE * SIDE)
    plain = write(tmp_path, "t10k", digits.pixels.reshape(-1, SIDE, SIDE), digits.labels[:])
    labels = plain.with_name("t10k-labels-idx1-ubyte")
    labels.write_bytes(idx(digits.labels.astype(np.uint8)))
    for one, other in zip(digits, mnist.read(plain), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_no_split_is_named(folder, tmp_path):
    with pytest.raises(InputError, match="must have train-images"):
        mnist.found(tmp_path / "nowhere")
    images = mnist.found(folder)
    labels = images.with_name("train-labels-idx1-ubyte.gz")
    labels.write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(InputError, match="as many images"):
        mnist.read(images)
    for damaged in (b"", b"\0\0\x08", idx(np.zeros(3, np.uint8))[:-1], b"\0\0\x09\1" + bytes(4)):
        labels.write_bytes(damaged)
        with pytest.raises(InputError, match="no whole idx file"):
            mnist.read_idx(labels)


def test_no_image_is_both_learned_and_for_development(folder):
    digits = mnist.read(mnist.found(folder))
    train, development = mnist.split(digits, 40, 0)
    numbers = [set(part.pixels[:, 0].tolist()) for part in (train, development)]
    assert [len(part) for part in numbers] == [160, 40]
    assert not numbers[0] & numbers[1]
    for part in (train, development):
        np.testing.assert_array_equal(part.labels, digits.labels[part.pixels[:, 0]])
    assert len(set(development.labels.tolist())) == 2  # sorted by class, and shuffled


def test_all_images_are_read_in_one_order(folder):
    digits = mnist.read(mnist.found(folder))
    assert mnist.arranged(digits, None) is digits
    moved = mnist.arranged(digits, 0)
    order = np.random.default_rng(0).permutation(SIDE * SIDE)
    np.testing.assert_array_equal(moved.pixels[7], digits.pixels[7][order])
    np.testing.assert_array_equal(np.sort(moved.pixels), np.sort(digits.pixels))
    np.testing.assert_array_equal(moved.labels, digits.labels)


def test_an_epoch_draws_each_image_once_at_most(folder):
    digits = mnist.read(mnist.found(folder))
    one, other = (list(mnist.epoch(digits, SETTINGS, np.random.default_rng(i))) for i in (0, 1))
    assert [batch.pixels.shape for batch in one] == [(20, SIDE * SIDE)] * 7
    drawn = np.concatenate([np.asarray(batch.pixels[:, 0]) for batch in one])
    assert len(set(drawn.tolist())) == 140
    assert (np.asarray(one[0].pixels) != np.asarray(other[0].pixels)).any()


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "irnn", "lru"])
def test_dark_and_bright_are_told_apart(folder, tmp_path, cell):
    """The mean of the pixels says which is which; and who knows nothing pays ln 10."""
    settings = SETTINGS | {"cell": cell, "permutation": 0}
    problem = mnist.build(folder, settings, 0)
    zeros = jax.tree.map(jnp.zeros_like, problem.params)
    np.testing.assert_allclose(problem.cost(zeros), np.log(mnist.CLASSES), rtol=1e-6)
    config = Config(epochs=12, learning_rate=0.02, warmup=0, weight_decay=0.0)
    trained = harness.train(problem, config, tmp_path / "run", settings)
    assert problem.score(trained.params, None)["% right"] == 100
    assert problem.score(trained.params, mnist.found(folder))["% right"] > 99


def test_an_unknown_cell_is_named(folder):
    with pytest.raises(InputError, match="gru, irnn or lru"):
        mnist.build(folder, SETTINGS | {"cell": "lstm"}, 0)
