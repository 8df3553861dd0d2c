"""The parts of the main job: text, vocabulary, evaluation, sampling."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.__main__ import parser
from rnn_jax.language.cells import CELLS
from rnn_jax.language.config import LEVELS, Config, settings
from rnn_jax.language.corpus import Streams, load
from rnn_jax.language.errors import InputError, RunError
from rnn_jax.language.evaluate import evaluate
from rnn_jax.language.files import JsonLines, write_whole
from rnn_jax.language.generate import filters_of, generate, write
from rnn_jax.language.learner import Learner
from rnn_jax.language.measures import perplexity
from rnn_jax.language.model import cross_entropy, language_model
from rnn_jax.language.report import wrapped
from rnn_jax.language.spectrum.names import by_layer, matrix_name
from rnn_jax.language.text import JOIN, SPLIT, read_text
from rnn_jax.language.vocabulary import UNKNOWN, Vocabulary
from tests.unsplit import PeepholeLSTM

# -- settings --------------------------------------------------------------------------------------


def test_a_config_survives_its_file(tmp_path):
    config = Config(cell="gru", stride=3, learning_rate=1e-3)
    (tmp_path / "config.json").write_text(config.to_json())
    assert Config.read(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": -3}, "--window must be at least 1, got -3"),
        ({"hidden": 0}, "--hidden must be at least 1, got 0"),
        ({"hidden": 10**9}, "--hidden must be less than"),
        ({"layers": 1.5}, "--layers must be of type int"),
        ({"batch": True}, "--batch must be of type int"),
        ({"cell": "lstn"}, "'lstn'; the known ones are elman, irnn, jordan, lstm, gru, mgu"),
        ({"clip": -1.0}, "--clip must be at least 0"),
        ({"clip": math.nan}, "--clip must be finite"),
        ({"clip": 10**400}, "--clip must be finite"),
        ({"steps": 2**31}, "--steps must be less than"),
        ({"validation": 1.0}, "--validation must be less than 1"),
        ({"window": 10, "stride": 11}, "--stride must be at most --window"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Config(**values)


@pytest.mark.parametrize("text", ["", "[1]", '{"hidden": 0}', '{"colour": 3}'])
def test_a_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json"):
        Config.read(tmp_path / "config.json")


def test_every_setting_explains_itself():
    assert set(settings()) == {field.name for field in dataclasses.fields(Config)}
    assert all(rule.help for rule in settings().values())


def test_every_level_can_be_split_and_joined():
    assert set(SPLIT) == set(JOIN) == set(LEVELS)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (rnn.LayerNormGRU, ["reset gate", "update gate", "candidate"]),
        (PeepholeLSTM, [f"block {n}" for n in (1, 2, 3, 4)]),  # it does not say what they are
        (rnn.LayerNormElman, None),
    ],
)
def test_a_row_is_all_that_a_new_cell_needs(cell, names, monkeypatch, capsys):
    """From the option to the network, and to the names in the report on its gradients."""
    monkeypatch.setitem(CELLS, "new", cell)
    with pytest.raises(SystemExit):
        parser().parse_args(["train", "--help"])
    assert "|mgu|new" in capsys.readouterr().out.replace("\n", "")
    model = language_model(Config(cell="new", layers=2, hidden=4), 6)
    assert [type(layer) for layer in model.layers].count(cell) == 2
    found = by_layer(rnn.analysis.recurrent_matrices(model, model.init(jax.random.key(0)))).values()
    expected = [f"layer {n}{f', {name}' if name else ''}" for n in (1, 2) for name in names or [""]]
    assert [matrix_name(name, "new") for name in found] == expected


# -- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"abc\0def", r"is binary \(a zero byte at 3\)"),
        (b"caf\xe9", r"is not UTF-8 text \(byte 0xe9 at 3\)"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, content, message):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_text(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no such text file"):
        read_text(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="is a folder"):
        read_text(str(tmp_path))


def test_the_default_text_is_english_and_always_the_same():
    assert len(read_text(None)) > 300_000
    assert read_text(None) == read_text(None)
    assert "The following" in read_text(None)


def test_chars_and_words_can_be_joined_again():
    text = "one  two\nthree\n\nfour"
    assert JOIN["char"](SPLIT["char"](text)) == text
    assert SPLIT["word"](text) == ["one", "two", "<eos>", "three", "<eos>", "<eos>", "four"]
    assert JOIN["word"](SPLIT["word"](text)) == "one two\nthree\n\nfour"


def test_the_lines_of_a_sample_fit_a_terminal():
    text = "  two  spaces\n\n" + "a" * 200 + "\n" + "word " * 40
    pieces = wrapped(text)
    assert pieces[:2] == ["  two  spaces", ""]
    assert [len(piece) for piece in pieces[2:5]] == [78, 78, 44]
    assert max(map(len, pieces)) <= 78
    assert "".join(pieces) == text.replace("\n", "")


def test_a_vocabulary_is_one_to_one():
    vocabulary = Vocabulary.of("hello world")
    assert list(vocabulary.tokens) == sorted(set("hello world"))
    assert "".join(vocabulary.decode(vocabulary.encode("low rod"))) == "low rod"
    with pytest.raises(InputError, match="not in the vocabulary of this run: 'x' 'z'"):
        vocabulary.encode("xoz")


def test_rare_words_become_unknown():
    words = "a a a b b c d".split()
    vocabulary = Vocabulary.of(words, limit=3)
    assert vocabulary.tokens == (UNKNOWN, "a", "b")
    assert vocabulary.decode(vocabulary.encode(["a", "c", "nonsense"])) == ["a", UNKNOWN, UNKNOWN]
    # A text that is small enough keeps all its words; one that has <unk> of its own shares it.
    assert Vocabulary.of(words, limit=4).tokens == ("a", "b", "c", "d")
    assert Vocabulary.of([*words, UNKNOWN], limit=3).tokens == (UNKNOWN, "a", "b")


def test_training_and_validation_are_the_two_ends_of_one_text(tmp_path):
    path = tmp_path / "text"
    path.write_text("abcdefghij" * 10)
    corpus = load(Config(text=str(path), batch=2, window=5, validation=0.2))
    inputs, targets = corpus.split("validation")
    assert (len(corpus.train), len(targets)) == (80, 20)
    assert inputs.tolist() == [corpus.train[-1], *corpus.validation[:-1]]
    with pytest.raises(InputError, match="the text is too short: 100 tokens leave 80"):
        load(Config(text=str(path), batch=16, window=5, validation=0.2))


def test_streams_are_contiguous():
    streams = Streams(np.arange(14), batch=3)
    inputs, targets = streams.window(0, streams.length)
    assert inputs.T.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert (targets == inputs + 1).all()


@pytest.mark.parametrize("turn", [1, -1])
def test_a_window_is_a_part_of_the_streams_and_reads_no_more(tmp_path, turn):
    np.save(tmp_path / "ids.npy", np.arange(200, dtype=np.uint8))
    ids = np.load(tmp_path / "ids.npy", mmap_mode="r")[::turn]
    streams = Streams(ids, batch=6)
    whole = streams.window(0, streams.length)
    assert {part.dtype for part in whole} == {np.dtype(np.int32)}
    for part, wanted in zip(streams.window(7, 11, slice(2, 5)), whole, strict=True):
        np.testing.assert_array_equal(part, wanted[7:18, 2:5])
        assert part.flags.c_contiguous
    assert np.shares_memory(streams._inputs, ids)
    assert np.shares_memory(streams._targets, ids)


# -- the model -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@jax.numpy_dtype_promotion("standard")  # optax.adam is not strict
def test_every_cell_can_be_trained(cell):
    config = Config(
        cell=cell,
        layers=2,
        hidden=8,
        embedding=8,
        tied=True,
        dropout_inputs=0.1,
        dropout_outputs=0.2,
        dropout_state=0.3,
        window=6,
        stride=4,
        batch=2,
        average=0.9,
        schedule="halving",
    )
    learner = Learner(config, 9)
    tokens = jax.ShapeDtypeStruct((6, 2), jnp.int32)
    before = learner.like().train
    state, metrics = jax.eval_shape(learner.update, before, tokens, tokens, 0)
    assert jax.tree.structure(state) == jax.tree.structure(before)
    assert metrics.loss.shape == metrics.grad_norm.shape == ()


@pytest.fixture(scope="module")
def speaker():
    learner = Learner(Config(cell="gru", hidden=12, embedding=5), 9)
    return learner.model, learner.model.init(jax.random.key(1))


@pytest.mark.parametrize("length", [1, 1024, 1500])
def test_evaluation_counts_every_token_once(speaker, rng, length):
    model, params = speaker
    tokens = rng.integers(0, 9, length + 1).astype(np.int32)
    found = evaluate(model, params, tokens[:-1], tokens[1:])
    _, logits = rnn.unroll(model, params, jnp.asarray(tokens[:-1]))
    assert found.tokens == length
    assert found.loss == pytest.approx(float(cross_entropy(logits, tokens[1:]).mean()), rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(found.loss))


def test_a_seed_decides_a_sample(speaker):
    vocabulary = Vocabulary(tuple("\nabcdefgh"))

    def text(seed, prompt="cab"):
        (one,) = write(*speaker, vocabulary, Config(), prompt, 30, filters_of(1.0), seed)
        return one

    assert text(0) == text(0) != text(1)
    assert text(0).startswith("cab")
    assert len(text(0)) == 33
    assert len(text(0, prompt="")) == 30


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf])
def test_temperatures_that_are_none_are_refused(temperature):
    with pytest.raises(InputError, match="--temperature must be"):
        filters_of(temperature)


def test_samples_that_cannot_be_drawn_are_refused(speaker, key):
    with pytest.raises(InputError, match="--length must be at least 1"):
        generate(*speaker, np.zeros(1, np.int32), 0, (), key)


def test_a_model_that_says_nan_says_so(speaker, key):
    model, params = speaker
    spoilt = jax.tree.map(lambda p: p * jnp.nan, params)
    with pytest.raises(RunError, match=r"the model says NaN.*--step"):
        generate(model, spoilt, np.zeros(1, np.int32), 3, (), key)


def test_a_hopeless_loss_still_has_a_perplexity():
    assert math.isfinite(perplexity(1e30))


# -- files -----------------------------------------------------------------------------------------


def test_a_file_of_lines_can_be_cut_back_to_a_step(tmp_path):
    lines = JsonLines(tmp_path / "lines")
    lines.append({"step": 1})
    size = lines.sync()
    lines.append({"step": 2, "b": 0.1})
    with lines.path.open("a") as file:
        file.write('{"half')
    with pytest.raises(RunError, match="damaged at line 3"):
        lines.read()
    assert lines.last_step() == 2
    left = lines.left(size, 1)
    assert len(lines.path.read_bytes()) > size  # to look changes nothing
    assert lines.keep(left) is None
    assert lines.read() == [{"step": 1}]


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (b"", []),
        (b'{"step": 1}\n{"st', [1]),
        (b'{"step": 1}\n{"step": 2}', [1, 2]),
        (b'{"step": 1}\nnoise\n{"step": 2}\n{"step": 3}\n', [1, 2]),
        (b'{"step": 1}\r\n{"step": 2}\r\n', [1, 2]),
        (b'{"step": 3}\n{"step": 1}\n', [1]),
    ],
)
def test_what_is_left_of_damaged_lines_is_kept_and_said(tmp_path, content, left):
    lines = JsonLines(tmp_path / "lines")
    lines.path.write_bytes(content)
    said = lines.keep(lines.left(24, step=2))
    assert f"lines is damaged: of the lines that the checkpoint saw, {len(left)} are left" in said
    assert [record["step"] for record in lines.read()] == left
    copy = tmp_path / "lines.damaged-1"
    assert copy.exists() == (content != lines.path.read_bytes()) == (str(copy) in said)
    assert not copy.exists() or copy.read_bytes() == content
    lines.append({"step": 3})
    assert [record["step"] for record in lines.read()] == [*left, 3]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(OSError, match="no space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
