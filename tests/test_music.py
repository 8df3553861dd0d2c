"""The table of polyphonic music: what is read, how it is moved, and what a frame costs."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rnn_jax as rnn
from benchmarks.published import harness, music
from benchmarks.published.frames import Joint
from benchmarks.published.keys import AroundParams, at_keys
from rnn_jax.language.config import Config
from tests.cases import arrays, params_of

CHORDS = [(60, 64, 67), (57, 60, 64), (62, 65, 69), (55, 59, 62)]


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def folder(tmp_path):
    """Four chords over and over, in pieces of several lengths, in both forms."""
    pieces = [[CHORDS[(t + start) % 4] for t in range(n)] for start, n in enumerate((9, 20, 14))]
    splits = {"train": pieces * 4, "valid": pieces}
    (tmp_path / "song.json").write_text(json.dumps(splits))
    arrays = {}
    for split, some in splits.items():
        keys = np.concatenate([[music._keys(chord) for chord in piece] for piece in some])
        arrays[f"{split}_frames"] = np.packbits(keys, axis=1)
        arrays[f"{split}_lengths"] = np.array([len(piece) for piece in some], np.int32)
    np.savez(tmp_path / "song.npz", **arrays)
    alone = {name.replace("valid", "all"): x for name, x in arrays.items() if "valid" in name}
    np.savez(tmp_path / "test.npz", **alone)
    return tmp_path


SETTINGS = {
    "file": "song.npz",
    "cell": "gru",
    "hidden": 16,
    "layers": 1,
    "dropout": 0.1,
    "dropout inputs": 0.0,
    "window": 8,
    "batch": 4,
    "semitones": 2,
}

AT_KEYS = SETTINGS | {"hidden": 8, "seen": 6, "reach": [9, 4]}
JOINT = AT_KEYS | {"along keys": 5}
every_network = pytest.mark.parametrize(
    "settings", [SETTINGS, AT_KEYS, JOINT], ids=["at once", "at keys", "joint"]
)


def test_both_forms_are_the_same_music(folder):
    one, other = (music.read(folder / f"song.{form}", "valid") for form in ("json", "npz"))
    assert [len(piece) for piece in one] == [9, 20, 14]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (np.nonzero(one[0][0])[0] + music.LOWEST).tolist() == [60, 64, 67]
    assert len(music.read(folder / "test.npz", "test")) == 3


@every_network
def test_who_knows_nothing_pays_a_bit_a_key(folder, settings):
    """Logits of 0 say that every key is as likely down as up, whatever is padded and batched."""
    problem = music.build(folder, settings, 0)
    zeros = jax.tree.map(jnp.zeros_like, problem.params)
    for file in (None, folder / "test.npz"):
        found = problem.score(zeros, file)["NLL"]
        np.testing.assert_allclose(found, music.KEYS * np.log(2), rtol=1e-6)
    for batch in problem.batches(np.random.default_rng(0)):
        value = problem.loss(zeros, batch, jax.random.key(0))
        np.testing.assert_allclose(value, music.KEYS * np.log(2), rtol=1e-6)


@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 4), st.just(music.KEYS))),
    st.integers(0, 12),
    st.integers(0, 99),
)
def test_music_is_moved_as_a_whole(frames, semitones, seed):
    moved = music.transposed(frames, semitones, np.random.default_rng(seed))
    assert moved.sum() == frames.sum()
    (before, after) = (np.nonzero(x.any(0))[0] for x in (frames, moved))
    if len(before):
        by = after[0] - before[0]
        assert abs(by) <= semitones
        for one, other in zip(frames, moved, strict=True):
            np.testing.assert_array_equal(np.nonzero(one)[0] + by, np.nonzero(other)[0])


def test_networks_at_keys_foretell_moved_music_as_moved():
    """But for the ends of the piano, around which there is less, as long as no key is special."""
    model = music.network(AT_KEYS).deterministic().over_time
    params = params_of(model, jnp.float32)
    frames = np.zeros((5, music.KEYS), np.float32)
    frames[np.arange(5), [30, 37, 41, 44, 33]] = 1
    _, low = rnn.unroll(model, params, frames)
    _, high = rnn.unroll(model, params, np.roll(frames, 12, axis=1))
    inner = slice(20, 60)
    assert np.abs(high[:, 32:72] - low[:, inner]).max() > 0.1, "params_of made each key special"

    plain = [
        p._replace(place=jnp.zeros_like(p.place)) if isinstance(p, AroundParams) else p
        for p in params
    ]
    _, low = rnn.unroll(model, tuple(plain), frames)
    _, high = rnn.unroll(model, tuple(plain), np.roll(frames, 12, axis=1))
    assert np.ptp(low[:, inner], axis=1).min() > 0.1, "keys see what is around them"
    np.testing.assert_allclose(high[:, 32:72], low[:, inner], atol=1e-5)


def test_the_frames_that_can_be_are_as_likely_as_one():
    """All 16 of four keys, given the same past: a distribution of frames as a whole."""
    keys, settings = 4, {"hidden": 3, "seen": 2, "reach": [2], "dropout": 0.0}
    over_keys = rnn.stack(rnn.GRU(4, 5), rnn.Dense(5, 1))
    model = Joint(rnn.stack(*at_keys(keys, rnn.GRU, settings)), over_keys)
    params = arrays(jax.eval_shape(model.init, jax.random.key(0)), seed=0)
    past = np.random.default_rng(0).integers(0, 2, (3, 1, keys))
    lasts = np.array(list(itertools.product([0, 1], repeat=keys)))
    frames = np.concatenate([np.repeat(past, 16, axis=1), lasts[None]]).astype(np.float32)
    logits = model.logits(params, jnp.asarray(frames), jnp.full(16, 3), None)
    costs = optax.sigmoid_binary_cross_entropy(logits, frames[1:])[-1].sum(-1)
    np.testing.assert_allclose(np.exp(-costs).sum(), 1, rtol=1e-5)
    assert np.ptp(logits[-1, :, -1]) > 0.1, "the highest key knows of those below"
    assert np.ptp(logits[-1, :, 0]) < 1e-6, "the lowest does not know of those above"


@pytest.mark.slow
@every_network
def test_chords_that_repeat_are_learned(folder, tmp_path, settings):
    """One in four says which is next: far below what each key costs by how often it is down."""
    config = Config(epochs=60, learning_rate=0.02, warmup=0, weight_decay=0.0, average=0.9)
    settings = settings | {"semitones": 0}
    problem = music.build(folder, settings, 0)
    trained = harness.train(problem, config, tmp_path / "run", settings)
    rates = np.concatenate(music.read(folder / "song.npz", "train")).mean(0)
    often = rates[(rates > 0) & (rates < 1)]
    by_rate = -(often * np.log(often) + (1 - often) * np.log(1 - often)).sum()
    assert problem.score(trained.params, None)["NLL"] < by_rate / 2
