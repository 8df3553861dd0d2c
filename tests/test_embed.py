"""A model that reads from the end, and the vectors that runs have of a text."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.__main__ import main
from rnn_jax.language import commands
from rnn_jax.language import embed as module
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import load, load_test
from rnn_jax.language.embed import Reader, embed
from rnn_jax.language.generate import filters_of, write
from rnn_jax.language.model import language_model, reader
from rnn_jax.language.run import Run
from rnn_jax.language.vocabulary import Vocabulary
from tests.cases import assert_close

TEXT = "the cat sat on the mat\nthe dog sat\n" * 9
SMALL = {"batch": 2, "window": 3}
SPLITS = {"train": TEXT, "valid": "the dog sat\n", "test": "a cat\n"}


@pytest.fixture(autouse=True)
def _there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT)


def splits(folder, turn):
    Path(folder).mkdir()
    for name, text in SPLITS.items():
        Path(folder, name).write_text(turn(text))
    return folder


def test_backward_is_forward_over_texts_that_are_turned():
    given = Config(data=splits("given", lambda text: text), backward=True, **SMALL)
    turned = Config(data=splits("turned", lambda text: text[::-1]), **SMALL)
    a, b = load(given), load(turned)
    pairs = (a.split("train"), a.split("validation"), load_test(given, a.vocabulary))
    expected = (b.split("train"), b.split("validation"), load_test(turned, b.vocabulary))
    for found, wanted in zip(pairs, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("level", ["char", "word"])
def test_a_text_that_is_cut_is_turned_part_by_part(level):
    ahead, behind = (
        load(Config(text="text.txt", level=level, backward=backward, **SMALL))
        for backward in (False, True)
    )
    assert ahead.vocabulary == behind.vocabulary
    assert ahead.digest == behind.digest
    np.testing.assert_array_equal(behind.train[::-1], ahead.train)
    inputs, targets = behind.split("validation")
    np.testing.assert_array_equal(targets[::-1], ahead.validation)
    assert inputs[0] == behind.vocabulary.start


class Counter(rnn.layers.memoryless.Memoryless):
    """After token n it says n + 1, whatever is drawn."""

    @property
    def input(self):
        return rnn.Input((), jnp.integer)

    def init(self, key, dtype=jnp.float32):
        return {"w": jnp.full((), 100.0, dtype)}

    def project(self, params, xs):
        return params["w"] * jax.nn.one_hot((xs + 1) % 5, 5, dtype=jnp.float32)


@pytest.mark.parametrize(
    ("backward", "prompt", "text"),
    [(False, "ab", "abcd"), (True, "ba", "dcba"), (False, "", "abcd"), (True, "", "dcba")],
)
def test_what_a_backward_model_writes_ends_with_the_prompt(backward, prompt, text):
    vocabulary, model = Vocabulary(("\n", "a", "b", "c", "d")), Counter()
    params = model.init(jax.random.key(0))
    config, greedy = Config(backward=backward), filters_of(0.0)
    length = len(text) - len(prompt)
    (found,) = write(model, params, vocabulary, config, prompt, length, greedy, 0)
    assert found == text


def readers(**settings):
    """A forward and a backward one, of different widths, with the whole text's vectors by hand."""
    found = []
    for backward, hidden in ((False, 4), (True, 3)):
        config = Config(hidden=hidden, embedding=hidden, layers=2, **settings)
        model = language_model(config, 13).deterministic()
        found.append(Reader(*reader(model, model.init(jax.random.key(hidden))), backward))
    return found


@pytest.mark.parametrize("tied", [False, True])
def test_a_text_in_blocks_has_the_vectors_of_the_whole(monkeypatch, tied):
    ahead, behind = both = readers(cell="gru", tied=tied)
    text = Config(text="text.txt", **SMALL)
    vocabulary = load(text).vocabulary
    assert len(vocabulary) == 13
    ids = vocabulary.encode(TEXT)
    monkeypatch.setattr(module, "_BLOCK", 100)
    with jax.enable_x64(False):
        shape = embed(both, vocabulary, "char", "text.txt", Path("out.npz"))
        _, forward = rnn.words.contextual_vectors(ahead.stack, ahead.params, ids)
        # A backward model is one that reads what is turned, and nothing else is known of it.
        _, turned = rnn.words.contextual_vectors(behind.stack, behind.params, ids[::-1])
    assert shape == (len(TEXT), 7, 7, 7)
    with np.load("out.npz") as found:
        assert sorted(found) == ["ids", "layer_0", "layer_1", "layer_2", "tokens"]
        assert "".join(found["tokens"][found["ids"]]) == TEXT
        for n in range(3):
            whole = np.concatenate([forward[n], turned[n][::-1]], -1)
            assert_close(found[f"layer_{n}"], whole, 1e-5)
    assert [path.name for path in Path().glob("*out*")] == ["out.npz"]
    assert not list(Path().glob(".out*"))


RUN = (
    "--text text.txt --level word --cell elman --hidden 4 --embedding 4 --batch 2 --window 4 "
    "--steps 2 --log-every 2 --eval-every 2 --checkpoint-every 2"
).split()


@pytest.fixture
def _as_a_user_has_it():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.usefixtures("_as_a_user_has_it")
def test_a_backward_run_is_trained_sampled_and_embedded(capsys, monkeypatch):
    """With the vectors of a file, which are frozen, so that they come out as they went in."""
    monkeypatch.setattr(commands, "report", lambda *_: "")
    Path("vectors.txt").write_text("the 1 2 3 4\nzebra 5 6 7 8\nmat 0 -1 0 -1\n")
    given = "--vectors vectors.txt --freeze-vectors --backward --run behind".split()
    assert main(["train", *RUN, *given]) == 0
    assert "vectors.txt has 2 of the 7 tokens\n" in capsys.readouterr().out
    assert main("sample behind --prompt mat --length 3".split()) == 0
    assert capsys.readouterr().out.endswith("mat\n")
    assert main("embed behind --text text.txt --out vectors.npz".split()) == 0
    tokens = 9 * 11
    assert capsys.readouterr().out == f"vectors.npz: layer_0 {tokens} x 4, layer_1 {tokens} x 4\n"
    assert main("embed behind --text text.txt --out nowhere/vectors.npz".split()) == 1
    assert "cannot write nowhere/vectors.npz: No such file" in capsys.readouterr().err
    with np.load("vectors.npz") as found:
        assert found["layer_1"].shape == (tokens, 4)
        assert " ".join(found["tokens"][found["ids"][:3]]) == "the cat sat"
        assert found["layer_0"][0].tolist() == [1, 2, 3, 4]
        assert found["layer_0"][5].tolist() == [0, -1, 0, -1]


@pytest.mark.slow
@pytest.mark.usefixtures("_as_a_user_has_it")
def test_a_forward_and_a_backward_run_stand_side_by_side():
    assert main(["train", *RUN, "--run", "ahead"]) == 0
    assert main(["train", *RUN, "--backward", "--tied", "--run", "behind"]) == 0
    for order in (("ahead", "behind"), ("behind", "ahead"), ("ahead",)):
        assert main(["embed", *order, "--text", "text.txt", "--out", "-".join(order) + ".npz"]) == 0
    first, second = (np.load(name) for name in ("ahead-behind.npz", "behind-ahead.npz"))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    np.testing.assert_array_equal(first["layer_1"][:, :4], np.load("ahead.npz")["layer_1"])
    assert first["layer_1"].shape == (9 * 11, 8)


def untrained(folder, **settings):
    config = Config(text="text.txt", **{"level": "word"} | SMALL | settings)
    corpus = load(config)
    Run.create(folder, config, corpus.digest, corpus.vocabulary)


def test_a_mistake_is_told_in_one_line(capsys):
    untrained("ahead")
    untrained("again")
    untrained("deep", backward=True, layers=2)
    untrained("chars", backward=True, level="char")
    for words, message in {
        "nowhere": "no run in nowhere",
        "ahead again": "a forward and a backward one (train --backward), got forward, forward",
        "ahead deep deep": "got forward, backward, backward",
        "ahead chars": "ahead and chars have not the same tokens",
        "ahead deep": "ahead has --layers 1, and deep 2",
        "ahead": "ahead has no checkpoint yet",
    }.items():
        assert main(["embed", *words.split(), "--text", "text.txt", "--out", "out.npz"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the zebra", "vectors.txt: not in the vocabulary of this run: 'b' 'r' 'z'"),
        (b"", "vectors.txt is empty"),
        (b"the cat\nthe \0", r"is binary \(a zero byte at 12\)"),
        (b"the cat\nthe \xff", r"is not UTF-8 text \(byte 0xff at 12\)"),
        (None, "no such text file"),
    ],
)
def test_a_text_that_cannot_be_read_leaves_nothing(content, message):
    if content is not None:
        Path("vectors.txt").write_bytes(content)
    vocabulary = load(Config(text="text.txt", **SMALL)).vocabulary
    with pytest.raises(rnn.RNNError, match=message):
        embed([], vocabulary, "char", "vectors.txt", Path("out.npz"))
    assert not list(Path().glob("*out*"))
    assert not list(Path().glob(".out*"))
