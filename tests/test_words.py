"""What word models of a text that is split already need, each thing by itself."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.__main__ import main
from rnn_jax.language import commands
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import load, load_test
from rnn_jax.language.errors import InputError
from rnn_jax.language.evaluate import evaluate, evaluate_adapting
from rnn_jax.language.learner import Learner
from rnn_jax.language.model import cross_entropy
from rnn_jax.language.spectrum.names import by_layer
from rnn_jax.language.text import find_splits
from rnn_jax.language.train import _Training, offset, updates_per_epoch

ROOT = Path(__file__).parent.parent
TRAIN = " the cat sat on the mat \n the dog sat \n" * 4
VALID = " the cat sat \n on the dog \n"
TEST = " a zebra sat \n"


@pytest.fixture
def folder(tmp_path):
    """Three splits as files, as those of the Penn Treebank are named."""
    for name, text in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        (tmp_path / f"tiny.{name}.txt").write_text(text)
    (tmp_path / "README").write_text("not a split")
    return tmp_path


def config_of(folder, **settings):
    return Config(data=str(folder), **{"level": "word", "batch": 2, "window": 3} | settings)


# -- the text --------------------------------------------------------------------------------------


def test_every_token_of_a_split_is_counted(folder):
    corpus = load(config_of(folder, max_words=6))
    assert corpus.vocabulary.tokens == ("<eos>", "<unk>", "cat", "dog", "sat", "the")
    assert len(corpus.train) == len(TRAIN.split()) + TRAIN.count("\n")
    inputs, targets = corpus.split("validation")
    words = VALID.replace("\n", "<eos>").replace("on", "<unk>").split()
    assert corpus.vocabulary.decode(targets) == words
    # The first token is predicted as well, after the end of a line.
    assert corpus.vocabulary.decode(inputs) == ["<eos>", *words[:-1]]
    inputs, targets = load_test(config_of(folder), corpus.vocabulary)
    assert corpus.vocabulary.decode(targets) == ["<unk>", "<unk>", "sat", "<eos>"]
    assert corpus.vocabulary.decode(inputs[:1]) == ["<eos>"]


def test_a_digest_covers_what_training_reads(folder):
    config = config_of(folder, max_words=6)
    digests = [load(config).digest]
    for name in ("test", "valid", "train"):
        path = folder / f"tiny.{name}.txt"
        path.write_text("the cat \n" + path.read_text())
        digests.append(load(config).digest)
    assert digests[0] == digests[1]
    assert len(set(digests[1:])) == 3


def test_characters_can_be_split_already(folder):
    corpus = load(config_of(folder, level="char", batch=1))
    inputs, targets = corpus.split("validation")
    assert "".join(corpus.vocabulary.decode(targets)) == VALID
    assert "".join(corpus.vocabulary.decode(inputs)) == "\n" + VALID[:-1]


def test_a_character_that_the_training_file_lacks_is_predicted_like_any_other(folder):
    (folder / "tiny.valid.txt").write_text("the c\u00e4t\n")
    config = config_of(folder, level="char", batch=1)
    corpus = load(config)
    assert set(corpus.vocabulary.tokens) == {*TRAIN, *TEST, "\u00e4"}
    assert "".join(corpus.vocabulary.decode(corpus.validation)) == "the c\u00e4t\n"
    _, targets = load_test(config, corpus.vocabulary)
    assert "".join(corpus.vocabulary.decode(targets)) == TEST
    # A test file that came later may have more: where, and what to do, is said.
    (folder / "tiny.test.txt").write_text("a\nb \u03c0\n")
    with pytest.raises(InputError, match=r"tiny\.test\.txt has .* '\u03c0' in line 2; restore"):
        load_test(config, corpus.vocabulary)


@pytest.mark.parametrize(("split", "word"), [("valid", "bird"), ("test", "zebra")])
def test_a_word_without_an_id_is_told_before_training(folder, split, word):
    (folder / "tiny.test.txt").write_text("the cat\n")
    (folder / f"tiny.{split}.txt").write_text(f"the cat\nsat on a {word}\n")
    message = rf"tiny\.{split}\.txt has words .*: 'a' in line 2, '{word}' in line 2; a run with "
    with pytest.raises(InputError, match=message + "--max-words below 7 reads them as <unk>"):
        load(config_of(folder))
    assert load(config_of(folder, max_words=6)).vocabulary.strangers([word]) == []
    (folder / "tiny.train.txt").write_text(TRAIN.replace("mat", "<unk>"))  # as the Penn Treebank
    assert "<unk>" in load(config_of(folder)).vocabulary.tokens


def test_the_end_of_a_line_cannot_be_a_word_as_well(folder):
    (folder / "tiny.valid.txt").write_text("the cat\nsat <eos>\n")
    with pytest.raises(InputError, match=r"tiny\.valid\.txt: line 2 has the word <eos>, which sta"):
        load(config_of(folder))
    (folder / "tiny.valid.txt").write_text(VALID)
    config = Config(text=str(folder / "one.txt"), level="word", batch=1, window=2)
    (folder / "one.txt").write_text(TRAIN + "<eos>")
    with pytest.raises(InputError, match=r"one\.txt: line 9 has the word <eos>.* delete it there"):
        load(config)
    (folder / "one.txt").write_text(TRAIN + "<eos>s of a line\n")
    assert "<eos>s" in load(config).vocabulary.tokens


def test_the_end_of_a_line_is_never_unknown(folder):
    (folder / "tiny.train.txt").write_text("the cat sat on the cat " * 9 + "\n")
    vocabulary = load(config_of(folder, max_words=3)).vocabulary
    assert vocabulary.tokens == ("<eos>", "<unk>", "cat")
    assert vocabulary.start == 0


def test_a_folder_that_lacks_a_split_is_refused(folder):
    (folder / "tiny.test.txt").write_text("the dog")
    config = config_of(folder)
    vocabulary = load(config).vocabulary
    with pytest.raises(InputError, match=r"tiny\.train\.txt has 44 tokens, and --batch 20"):
        load(config_of(folder, batch=20))
    (folder / "tiny.test.txt").unlink()
    with pytest.raises(InputError, match="no test split: no file with test in its name"):
        load_test(config, vocabulary)
    (folder / "other.train.txt").write_text(TRAIN)
    with pytest.raises(InputError, match=r"several files .* other\.train\.txt, tiny\.train\.txt"):
        load(config)
    (folder / "other.train.txt").unlink()
    (folder / "tiny.valid.txt").unlink()
    with pytest.raises(InputError, match="has no file with valid in its name"):
        load(config)


def test_a_split_is_found_in_whatever_case(tmp_path):
    for name in ("Train.TXT", "VALID.txt", "Test.txt"):
        (tmp_path / name).write_text("the cat sat\n" * 4)
    names = {split: Path(path).name for split, path in find_splits(str(tmp_path)).items()}
    assert names == {"train": "Train.TXT", "valid": "VALID.txt", "test": "Test.txt"}
    (tmp_path / "train.txt").write_text("the cat sat\n" * 4)
    with pytest.raises(InputError, match=r"several files with train .*: Train\.TXT, train\.txt"):
        find_splits(str(tmp_path))


def test_a_file_is_one_split_only(tmp_path):
    for name in ("latest_train.txt", "valid.txt"):
        (tmp_path / name).write_text("the cat sat\n" * 4)
    with pytest.raises(InputError, match=r"latest_train\.txt has both train and test in its name"):
        find_splits(str(tmp_path))


# -- how it is read --------------------------------------------------------------------------------


def test_epochs_begin_at_other_tokens_and_always_fit():
    config = Config(window=5, stride=4, jitter=True, seed=3)
    length = 23
    offsets = [offset(config, epoch) for epoch in range(40)]
    assert set(offsets) == {0, 1, 2, 3}
    assert offsets == [offset(config, epoch) for epoch in range(40)]
    last = max(offsets) + (updates_per_epoch(config, length) - 1) * 4
    assert last + 5 <= length < last + 5 + 4
    assert offset(Config(window=5), 7) == 0
    # A text of just enough tokens has one window, wherever it begins.
    assert updates_per_epoch(config, 5 + config.largest_offset) == 1


def test_noise_follows_from_the_seed_and_the_number_of_the_update():
    rates = {f"dropout_{place}": 0.5 for place in ("inputs", "outputs", "state")}
    learner = Learner(Config(cell="gru", hidden=6, embedding=4, window=3, batch=2, **rates), 9)
    xs = jnp.arange(6, dtype=jnp.int32).reshape(3, 2)

    @jax.jit
    def losses(state):
        metrics = [learner.update(state, xs, xs, step)[1] for step in (0, 0, 1)]
        _, logits = rnn.unroll(learner.model, state.params, xs)
        return [m.loss for m in metrics], cross_entropy(logits, xs).mean()

    with jax.numpy_dtype_promotion("standard"):
        (one, same, other), clean = losses(learner.start().train)
    assert one == same
    assert len({float(one), float(other), float(clean)}) == 3


# -- dynamic evaluation ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speaker():
    model = Learner(Config(cell="elman", hidden=5, embedding=5, tied=True), 7).model
    return model, model.init(jax.random.key(1))


def test_without_a_rate_dynamic_evaluation_is_the_static_one(speaker, rng):
    tokens = rng.integers(0, 7, 12).astype(np.int32)
    still = evaluate_adapting(*speaker, tokens[:-1], tokens[1:], 4, 1e-30)
    assert still.loss == pytest.approx(evaluate(*speaker, tokens[:-1], tokens[1:]).loss, rel=1e-5)


def test_dynamic_evaluation_finds_what_repeats(speaker):
    tokens = np.tile(np.array([3, 1, 4, 1, 5], np.int32), 60)
    static = evaluate(*speaker, tokens[:-1], tokens[1:])
    adapted = evaluate_adapting(*speaker, tokens[:-1], tokens[1:], 5, 0.5)
    assert adapted.perplexity < 0.7 * static.perplexity


# -- the run ---------------------------------------------------------------------------------------

MODERN = (
    "--level word --cell lstm --hidden 8 --embedding 8 --tied --batch 2 --window 5 --steps 24 "
    "--dropout-inputs 0.1 --dropout-outputs 0.2 --dropout-state 0.3 --jitter --schedule halving "
    "--average 0.9 --warmup 3 --weight-decay 0.1 --eval-every 0 --checkpoint-every 5 --log-every 4"
).split()


@pytest.fixture
def place(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "tiny.test.txt").write_text("the dog\n")
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield folder


def run(*words):
    return main(list(map(str, words)))


@pytest.mark.slow
def test_a_run_with_everything_on_goes_on_as_if_nothing_had_happened(place, monkeypatch):
    assert run("train", "--data", ".", "--run", "whole", *MODERN) == 0
    read = _Training._read

    def dies(self, metrics, step):
        if step == 18:
            raise KeyboardInterrupt
        read(self, metrics, step)

    with monkeypatch.context() as patch:
        patch.setattr(_Training, "_read", dies)
        assert run("train", "--data", ".", "--run", "cut", *MODERN) == 130
    assert run("train", "--resume", "cut") == 0
    for name in ("metrics.jsonl", "report.json", "sample.txt", "config.json"):
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes()
    records = map(json.loads, Path("whole/metrics.jsonl").read_text().splitlines())
    # Streams of 21 tokens, of which an epoch may leave out 4: three windows of 5.
    assert [r["epoch"] for r in records if r["split"] == "validation"] == [*range(1, 9)]


@pytest.mark.slow
def test_patience_ends_a_run_and_the_best_is_what_is_used(place, capsys):
    words = [
        "--learning-rate",
        "1e-30",
        "--patience",
        "2",
        "--eval-every",
        "5",
        "--optimizer",
        "sgd",
    ]
    assert run("train", "--data", ".", "--run", "stalled", *MODERN, "--average", "0", *words) == 0
    captured = capsys.readouterr()
    assert "no better validation since step 5: the end, by --patience 2" in captured.err
    assert json.loads(Path("stalled/report.json").read_text())["step"] == 5
    before = {path: path.read_bytes() for path in Path("stalled").glob("*.json*")}
    assert run("train", "--resume", "stalled") == 0
    assert {path: path.read_bytes() for path in before} == before
    capsys.readouterr()
    assert run("evaluate", "stalled", "--adapt", "0.1") == 0
    out = capsys.readouterr().out
    assert "over 8 tokens, step 5, the best on validation" in out
    assert "with dynamic evaluation, --adapt 0.1: validation perplexity" in out
    assert run("evaluate", "stalled", "--step", "15") == 0
    assert "over 8 tokens, step 15\n" in capsys.readouterr().out


def test_options_override_a_file_of_settings(place, monkeypatch):
    found = []
    monkeypatch.setattr(commands, "start_run", lambda config, *_: found.append(config))
    settings = {"level": "word", "hidden": 3, "embedding": 2, "jitter": True, "stride": None}
    Path("mine.json").write_text(json.dumps(settings))
    words = ["--config", "mine.json", "--hidden", "5", "--no-jitter"]
    assert run("train", "--data", ".", *words) == 0
    expected = {"hidden": 5, "jitter": False, "data": str(Path.cwd())}
    assert found == [Config(**(settings | expected))]


# -- names and files -------------------------------------------------------------------------------


def test_recurrent_layers_are_counted_whatever_lies_between():
    names = ["layer.1.1.w_hh.0", "layer.1.1.w_hh.1", "layer.1.3.w_hh.0"]
    assert list(by_layer(names).values()) == ["1.w_hh.0", "1.w_hh.1", "2.w_hh.0"]
    assert by_layer(["1.w_hh", "2.w_hh"]) == {"1.w_hh": "1.w_hh", "2.w_hh": "2.w_hh"}


@pytest.mark.parametrize("path", sorted((ROOT / "docs/penn_treebank").glob("*.json")))
def test_the_published_rows_are_configs(path):
    config = Config(**json.loads(path.read_text()))
    if path.stem.startswith("characters"):
        assert (config.level, config.window) == ("char", 100)
    else:
        assert (config.level, config.window) == ("word", 35)
        assert config.hidden <= 300
