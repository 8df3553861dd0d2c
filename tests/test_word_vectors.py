"""Word vectors in: every format, against files written byte by byte; then a run that uses them."""

import gzip
import struct
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax.__main__ import main
from rnn_jax.language.learner import Learner, load_params
from rnn_jax.language.model import map_vectors
from rnn_jax.language.run import Run
from rnn_jax.language.vocabulary import Vocabulary

read = rnn.words.read_vectors


def header(table):
    return b"%d %d\n" % (len(table), len(next(iter(table.values()))))


def rows(table, end):
    numbers = {word: " ".join(map(str, map(float, row))) for word, row in table.items()}
    return "".join(f"{word} {row}{end}" for word, row in numbers.items()).encode()


def word2vec(table):
    return header(table) + rows(table, "\n")


def fast_text(table):
    return header(table) + rows(table, " \n")


def glove(table):
    return rows(table, "\n")


def windows(table):
    return rows(table, "\r\n")


def binary(table, end=b""):
    packed = {word: struct.pack(f"<{len(row)}f", *row) for word, row in table.items()}
    return header(table) + b"".join(w.encode() + b" " + row + end for w, row in packed.items())


def binary_with_breaks(table):
    return binary(table, b"\n")


KINDS = [word2vec, fast_text, glove, windows, binary, binary_with_breaks]


def same(found, table):
    assert found.words == tuple(table)
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, np.array([*table.values()], np.float32))


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "vectors"
        path.write_bytes(content)
        return path

    return write


words_of = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8),
    min_size=1,
    max_size=6,
    unique=True,
)


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(words=words_of, width=st.integers(2, 9), seed=st.integers(0, 2**16))
def test_what_is_written_is_read(tmp_path_factory, kind, zipped, words, width, seed):
    rng = np.random.default_rng(seed)
    table = {word: rng.normal(size=width).astype(np.float32) for word in words}
    content = kind(table)
    path = tmp_path_factory.getbasetemp() / "drawn"
    path.write_bytes(gzip.compress(content, 1) if zipped else content)
    same(read(path), table)
    wanted = [*words[::2], "not there"]
    same(read(path, wanted), {word: table[word] for word in words[::2]})


TABLE = {"the": [0.5, 1.0, -2.0], ". . .": [1.0, 2.0, 3.0], "caf\u00e9": [0.0, 0.25, -0.125]}


@pytest.mark.parametrize("kind", [word2vec, glove], ids=lambda kind: kind.__name__)
def test_a_word_may_have_spaces(file, kind):
    same(read(file(kind(TABLE))), TABLE)


def test_the_first_of_two_vectors_counts(file):
    found = read(file(b"a 1 2\nb 3 4\na 5 6\n"))
    assert (found.words, found.vectors.tolist()) == (("a", "b"), [[1, 2], [3, 4]])


def test_a_word_that_is_not_utf_8_does_no_harm(file):
    assert read(file(b"a 1 2\n\xff\xe9 3 4\n")).words == ("a", "\ufffd\ufffd")
    assert read(file(b"2 2\n\xff 3 4\na 1 2\n"), ["a"]).vectors.tolist() == [[1, 2]]


def test_records_longer_than_a_block_are_read(file):
    rng = np.random.default_rng(0)
    table = {f"w{n}": rng.normal(size=50_000).astype(np.float32) for n in range(11)}
    same(read(file(binary(table))), table)


def test_nothing_wanted_is_nothing(file):
    found = read(file(word2vec(TABLE)), ["dog"])
    assert (found.words, found.vectors.shape) == ((), (0, 3))


TWO = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
# Without the time of day, which would be in the names of tests.
ZIPPED = gzip.compress(word2vec(TWO), mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no word vectors"),
        (b"one\ntwo\n", "holds no word vectors"),
        (b"\x00\x01\x02 \xff\n", "holds no word vectors"),
        (b"the cat sat\n", "holds no word vectors"),
        (b"3 0\n", "line 1: a word must have from 1 to 65535 numbers, got 0"),
        (b"3 99999999\na 1\n", "line 1: a word must have from 1 to 65535 numbers, got 99999999"),
        (b"a 1 2\nb 3\n", "line 2: expected a word and 2 numbers, got 1 numbers"),
        (b"a 1 2\nb 3 x\n", "line 2: expected a word and 2 numbers, got b'3 x'"),
        (b"a 1 2\n\nb 3 4\n", "line 2: expected a word and 2 numbers, got none"),
        (b"a 1 2\nb nan 4\n", "line 2: the numbers of a word must be finite"),
        (b"2 2\na 1 2\nb 3\n", "line 3: expected a word and 2 numbers, got 1 numbers"),
        (b"3 2\na 1 2\nb 3 4\n", "its first line says that it has 3 words, and it has 2"),
        (b"1 2\na 1 2\nb 3 4\n", "its first line says that it has 1 words, and it has 2"),
        (binary(TWO)[:-1], "its first line says that it has 2 words, and it has 1"),
        (binary({"a": [np.inf, 1]}), "word 1: the numbers of a word must be finite"),
        (b"2 2\n" + b"\x00" * 3_000_000, "it has 2 words, and it has 0"),
        (ZIPPED[:-9], "it cannot be unpacked"),
        (ZIPPED[:12] + b"\xff" * 30, "it cannot be unpacked"),
    ],
)
def test_a_broken_file_is_told_by_its_place(file, content, message):
    path = file(content)
    with pytest.raises(rnn.ArgumentError, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value)


# -- Params --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_an_embedding_emits_the_vectors_of_the_file(file, scale):
    layer = rnn.Embedding(4, 3, scale=scale)
    vocabulary = ["caf\u00e9", "mat", "the", "dog"]
    vectors = read(file(glove(TABLE)))
    params = rnn.words.embedding_params(layer, vectors, vocabulary, jax.random.key(0))
    _, ys = rnn.unroll(layer, params, jnp.arange(4))
    np.testing.assert_allclose(ys[0], TABLE["caf\u00e9"], rtol=1e-6)
    np.testing.assert_allclose(ys[2], TABLE["the"], rtol=1e-6)


def test_unknown_words_are_as_long_as_the_known_ones():
    vectors = rnn.words.WordVectors(("a",), np.full((1, 1000), -0.25, np.float32))
    layer, key = rnn.Embedding(2, 1000), jax.random.key(0)
    known, unknown = rnn.words.embedding_params(layer, vectors, ["a", "b"], key).w
    assert (known == -0.25).all()
    assert abs(float(unknown.mean())) < 0.03  # 0.25 / sqrt(1000) is 0.008
    assert float(unknown.std()) == pytest.approx(0.25, rel=0.1)
    again = rnn.words.embedding_params(layer, vectors, ["a", "b"], jax.random.key(1)).w[1]
    assert (again != unknown).any()


def test_the_user_may_say_what_an_unknown_word_is(key):
    vectors = rnn.words.WordVectors(("a", "b"), np.eye(2, dtype=np.float32))
    layer = rnn.Embedding(3, 2, scale=4.0)

    def mean(key, shape, dtype):
        return jnp.full(shape, vectors.vectors.mean(), dtype)

    params = rnn.words.embedding_params(layer, vectors, "c a b".split(), key, mean, jnp.float64)
    assert params.w.dtype == jnp.float64
    assert (layer.scale * params.w).tolist() == [[0.5, 0.5], [1, 0], [0, 1]]


# -- A run ---------------------------------------------------------------------------------------

TEXT = "the cat sat on the mat\nthe dog sat\n" * 40
SETTINGS = (
    "--text text.txt --level word --cell elman --hidden 4 --embedding 4 --batch 2 --window 4 "
    "--steps 4 --log-every 2 --eval-every 4 --checkpoint-every 2"
).split()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = {
        w: np.random.default_rng(n).normal(size=4) for n, w in enumerate("the cat zebra".split())
    }
    Path("vectors.txt").write_bytes(word2vec(table))
    Path("text.txt").write_text(TEXT)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield table


def params_of(folder):
    run = Run.open(folder)
    size = len(run.vocabulary())
    return run, load_params(run, Learner(run.config(), size), None).params


@pytest.mark.slow  # tests/test_embed.py has a quick one
def test_a_run_begins_with_the_vectors_of_a_file_and_keeps_them_frozen(place, capsys):
    words = ["train", *SETTINGS, "--vectors", "vectors.txt", "--run"]
    assert main([*words, "frozen", "--freeze-vectors"]) == 0
    assert "vectors.txt has 2 of the 7 tokens" in capsys.readouterr().out
    run, params = params_of("frozen")
    first = run.table(run.config())
    ids = run.vocabulary().ids
    np.testing.assert_allclose(first[ids["cat"]], place["cat"], rtol=1e-6)
    np.testing.assert_array_equal(params[0].w, first)


@pytest.mark.slow
def test_a_run_goes_on_where_its_file_is_gone(place):
    words = ["train", *SETTINGS, "--vectors", "vectors.txt", "--run", "run"]
    assert main(words) == 0
    run = Run.open("run")
    before = run.metrics.path.read_bytes()
    # As if it had been killed before its first checkpoint.
    Path("vectors.txt").unlink()
    run.checkpoints.rename("gone")
    run.metrics.path.unlink()
    assert main(["train", "--resume", "run"]) == 0
    assert run.metrics.path.read_bytes() == before


@pytest.mark.slow
def test_vectors_are_trained_unless_they_are_frozen(place):
    assert main(["train", *SETTINGS, "--tied", "--vectors", "vectors.txt", "--run", "trained"]) == 0
    run, params = params_of("trained")
    first = run.table(run.config())
    cat = run.vocabulary().ids["cat"]
    np.testing.assert_allclose(10 * first[cat], place["cat"], rtol=1e-6)  # the scale of a tied one
    assert (params.layer[0].w != first).all()


def test_what_is_frozen_is_a_part_of_the_params():
    tied = rnn.tied(rnn.Embedding(3, 2), rnn.Elman(2, 2)).init(jax.random.key(0))
    plain = rnn.stack(rnn.Embedding(3, 2), rnn.Elman(2, 2)).init(jax.random.key(0))
    for params, table in ((tied, tied.layer[0].w), (plain, plain[0].w)):
        changed = map_vectors(lambda _: None, params)
        gone = {id(leaf) for leaf in jax.tree.leaves(params)} - {
            id(leaf) for leaf in jax.tree.leaves(changed)
        }
        assert gone == {id(table)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--vectors nowhere", "--vectors: cannot read"),
        ("--vectors text.txt", "text.txt holds no word vectors"),
        ("--vectors vectors.txt --embedding 5", "has vectors of 4 numbers, and --embedding is 5"),
        ("--vectors strange.txt", "has none of the 7 tokens of the text"),
        ("--freeze-vectors", "--freeze-vectors goes with --vectors"),
    ],
)
def test_a_file_that_does_not_fit_is_told_in_one_line(place, capsys, words, message):
    Path("strange.txt").write_bytes(glove({"zebra": [1.0, 2.0, 3.0, 4.0]}))
    assert main(["train", *SETTINGS, "--run", "none", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("none").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read .*vectors.npy: No such file"),
        (b"no array", "vectors.npy is damaged"),
        (np.zeros((3, 4), np.float32), "vectors.npy is not the table of this run"),
    ],
)
def test_a_damaged_table_of_a_run_is_named(tmp_path, monkeypatch, content, message):
    run = Run(tmp_path)
    monkeypatch.setattr(run, "vocabulary", lambda: Vocabulary(("a", "b")))
    if isinstance(content, bytes):
        run.vectors.write_bytes(content)
    elif content is not None:
        np.save(run.vectors, content)
    config = type("", (), {"vectors": "file", "embedding": 4})
    with pytest.raises(rnn.RNNError, match=message):
        run.table(config)
