"""The published tables of taggers: their score, what they read, and a run at the smallest size."""

import gzip
import itertools
import json
import re

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
from benchmarks.published import atis, conll2000, harness, tagging, texts
from benchmarks.published.chunks import chunk_scores, chunks, follows, likeliest
from rnn_jax.__main__ import main
from rnn_jax.language.errors import InputError

TAGS = st.lists(st.sampled_from(["O", "B-NP", "I-NP", "B-VP", "I-VP"]))


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def test_chunks_of_known_tags():
    assert chunks("B-NP I-NP O B-VP B-VP I-NP I-NP I-VP".split()) == [
        ("NP", 0, 2),
        ("VP", 3, 4),
        ("VP", 4, 5),
        ("NP", 5, 7),
        ("VP", 7, 8),
    ]
    assert chunks("I-NP O I-NP".split()) == [("NP", 0, 1), ("NP", 2, 3)]
    # A slot may have a dot or a hyphen in its name.
    assert chunks(["B-a.b-c", "I-a.b-c"]) == [("a.b-c", 0, 2)]


def test_scores_of_known_tags():
    references = ["B-NP I-NP O B-VP".split(), "B-NP".split()]
    said = ["B-NP I-NP O B-NP".split(), "O".split()]
    assert chunk_scores(said, references) == pytest.approx(
        {"F1": 40, "precision": 50, "recall": 100 / 3}
    )
    assert chunk_scores([["O"]], [["O"]]) == {"F1": 0, "precision": 0, "recall": 0}


@given(tags=TAGS)
def test_chunks_are_what_a_pattern_finds(tags):
    """Each word as a letter: a chunk is its first word, and those of its kind that go on."""
    text = "".join({"O": "o", "B-NP": "N", "I-NP": "n", "B-VP": "V", "I-VP": "v"}[t] for t in tags)
    found = [
        (match.group()[0].upper() + "P", *match.span())
        for match in re.finditer("[Nn]n*|[Vv]v*", text)
    ]
    assert chunks(tags) == found


@given(sentences=st.lists(TAGS, min_size=1))
def test_what_is_right_is_scored_so(sentences):
    scores = chunk_scores(sentences, sentences)
    assert set(scores.values()) <= {0, 100}
    assert (scores["F1"] == 100) == any(tag != "O" for tags in sentences for tag in tags)


@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 5))
def test_the_likeliest_tags_are_those_of_exhaustive_search(seed, length):
    tags = ["B-NP", "B-VP", "I-NP", "I-VP", "O"]
    scores = np.random.default_rng(seed).normal(size=(length, len(tags)))

    def valid(path):
        steps = zip(["O", *path], path, strict=False)
        return all(tag[0] != "I" or last[1:] == tag[1:] for last, tag in steps)

    paths = [path for path in itertools.product(tags, repeat=length) if valid(path)]
    best = max(
        paths, key=lambda path: sum(s[tags.index(t)] for s, t in zip(scores, path, strict=True))
    )
    assert tuple(tags[n] for n in likeliest(scores, follows(tags))) == best


def test_ids_windows_and_rare_words():
    ids = tagging.Ids.of("a b a c c d".split())
    assert ids.read("a b e".split()).tolist() == [2, 3, tagging.UNKNOWN]
    assert ids.once.tolist() == [3, 5]
    assert len(tagging.Ids.of("a b a".split(), least=2)) == 3
    assert tagging.windows(np.array([2, 3]), 1).tolist() == [[0, 2, 3], [2, 3, 0]]
    rng = np.random.default_rng(0)
    many = np.tile([2, 3], 1000)
    dropped = tagging.drop_rare(many, ids.once, 0.25, rng)
    assert (dropped[::2] == 2).all()
    assert set(dropped[1::2].tolist()) == {3, tagging.UNKNOWN}
    assert 0.2 < (dropped[1::2] == tagging.UNKNOWN).mean() < 0.3


def test_jordan_is_the_cell_of_that_name():
    layers = rnn.stack(*tagging.jordan(4, 5, 3, 0.5))
    params = layers.init(jax.random.key(0))
    (hidden, _, output), _ = params
    cell = rnn.Jordan(4, 5, 3, output_activation=jax.nn.softmax)
    own = rnn.JordanParams(hidden.w[:4], hidden.w[4:], hidden.b, output.w, output.b)
    xs = jax.random.normal(jax.random.key(1), (6, 2, 4))
    _, logits = rnn.unroll(layers.deterministic(), params, xs)
    _, probabilities = rnn.unroll(cell, own, xs)
    np.testing.assert_allclose(jax.nn.softmax(logits), probabilities, rtol=1e-5)


def test_what_is_read_of_words():
    words = "Third-quarter 1,000 U.S. , n't".split()
    assert [*map(texts.heard, words)] == ["quarter", "0", "s", None, "n't"]
    assert [texts.spelled(word, {"the"}) for word in ("the", "flossing", "fox")] == [
        "the",
        "-ng",
        "<unk>",
    ]
    assert [*map(conll2000.shape, ("September", "1,000", "near-record"))] == ["Aa", "0.0", "a-a"]


def test_a_file_of_another_form_is_refused(tmp_path):
    (tmp_path / "a.in").write_text("show me flights\n")
    (tmp_path / "a.out").write_text("O O\n")
    with pytest.raises(InputError, match="as many words as slots"):
        atis.read(tmp_path / "a.in")
    (tmp_path / "b").write_text("Confidence NN B-NP\n\nin IN\n")
    with pytest.raises(InputError, match="line 3"):
        conll2000.rows(tmp_path / "b")


@pytest.fixture
def flights(tmp_path):
    """Questions in which what stands behind `to` is a city."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "flights"
    folder.mkdir()
    for name, number in (("train", 48), ("valid", 12), ("test", 4)):
        cities = rng.choice(["boston", "dallas", "denver"], number).tolist()
        questions = [
            f"please show flights to {city}"[7 * (n % 2) :] for n, city in enumerate(cities)
        ]
        slots = ["O O O O B-city"[2 * (n % 2) :] for n in range(number)]
        (folder / f"{name}.seq.in").write_text("\n".join(questions) + "\n")
        (folder / f"{name}.seq.out").write_text("\n".join(slots) + "\n")
    return folder


SMALL = {"embedding": 8, "spelling": 4, "projection": 8, "hidden": 16, "batch": 8, "buckets": 1}
SMALL |= {"dropout inputs": 0.1, "dropout": 0.1, "dropout vectors": 0.1, "labelled": 1.0}


def small(name, tmp_path, **training):
    """The settings of a table, at the smallest size."""
    table = harness.read_table(harness.HERE / f"{name}.json")
    table["settings"] |= SMALL
    table["training"] = {"learning_rate": 0.03, "warmup": 0, "clip": 5.0, "average": 0.5} | training
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(table))
    return f"--config {path} --runs {tmp_path}/runs --output {tmp_path}/out"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atis", "atis_elman", "atis_jordan", "atis_bidirectional_jordan"])
def test_slots_that_one_word_tells_are_learned(name, flights, tmp_path):
    command = f"{flights} {small(name, tmp_path, epochs=30)} --test {flights}/test.seq.in"
    result = harness.main(atis.build, None, command.split())
    (run,) = result["runs"]
    assert run["development"]["F1"] == run["test"]["F1"] == 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conll2000", "conll2000_tenth_word2vec", "conll2000_contextual"])
def test_chunks_of_a_small_file_are_scored(name, tmp_path):
    """A text of its own for word vectors and language models, as the commands make them."""
    data = tmp_path / "data"
    (data / "texts").mkdir(parents=True)
    line = "The old dog of Mr. Smith did n't see 12 well-fed cats .".split()
    parts = "DT JJ NN IN NNP NNP VBD RB VB CD JJ NNS .".split()
    tags = "B-NP I-NP I-NP B-PP B-NP I-NP B-VP I-VP I-VP B-NP I-NP I-NP O".split()
    rows = "\n".join(map(" ".join, zip(line, parts, tags, strict=True)))
    with gzip.open(data / "train.txt.gz", "wt") as file:
        file.write("\n\n".join([rows] * 16))
    if name != "conll2000":
        pytest.importorskip("gensim")
        (data / "texts" / "a.txt").write_text("the old dog didn't see 12 cats of smith\n" * 100)
        texts.write(data / "texts", data, words=8, size=5, seed=0)
        for run, order in (("ahead", "--no-backward"), ("behind", "--backward")):
            learn = f"train --data {data}/text --level word --hidden 4 --embedding 5 --batch 4"
            assert main(f"{learn} --window 8 --steps 2 --run {data}/{run} {order}".split()) == 0
    command = f"{data} {small(name, tmp_path, epochs=30)} --test {data}/train.txt.gz"
    result = harness.main(conll2000.build, None, command.split())
    (run,) = result["runs"]
    assert run["development"]["F1"] == run["test"]["F1"] == 100
