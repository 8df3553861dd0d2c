"""CMUdict and SCAN: how they are scored, and their scripts on data that is made here."""

import functools
import gzip
import json

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.published import g2p, harness, scan
from benchmarks.published.scores import edits, error_rates
from rnn_jax.language.errors import InputError

WORDS = st.text("abc", max_size=6)


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@functools.cache
def by_definition(a, b):
    if not a or not b:
        return len(a) + len(b)
    shorter = by_definition(a[1:], b), by_definition(a, b[1:])
    return min(1 + min(shorter), by_definition(a[1:], b[1:]) + (a[0] != b[0]))


@given(WORDS, WORDS)
def test_edits_are_those_of_the_definition(a, b):
    assert edits(a, b) == by_definition(a, b)


def test_a_word_is_measured_by_its_nearest_reference():
    references = [["K AE T".split()], ["R IY D".split(), "R EH D Z".split()], [["AH"]]]
    assert error_rates([["K", "AE", "T"], ["R", "EH", "D", "Z"], ["AH"]], references) == {
        "PER": 0.0,
        "WER": 0.0,
    }
    # Nearest is "R IY D", by one edit of three; "AH" is missing.
    said = [["K", "AE", "T"], ["R", "EH", "D"], []]
    assert error_rates(said, references) == {"PER": 100 * 2 / 7, "WER": 100 * 2 / 3}


def test_files_are_read_and_what_is_no_line_of_theirs_is_named(tmp_path):
    (tmp_path / "a.train").write_text("CAT\tK AE T\nREAD\tR IY D\nREAD\tR EH D\n")
    assert g2p.read(g2p.training_file(tmp_path)) == {
        "CAT": [["K", "AE", "T"]],
        "READ": [["R", "IY", "D"], ["R", "EH", "D"]],
    }
    (tmp_path / "b.train").write_text("CAT\tK AE T\nDOG\n")
    with pytest.raises(InputError, match=r"has 2$"):
        g2p.training_file(tmp_path)
    with pytest.raises(InputError, match=r"b\.train, line 2: .*DOG"):
        g2p.read(tmp_path / "b.train")
    with gzip.open(tmp_path / "scan.gz", "wt") as file:
        file.write("IN: turn left OUT: I_TURN_LEFT\n")
    assert scan.read(tmp_path / "scan.gz") == [(["turn", "left"], ["I_TURN_LEFT"])]
    with pytest.raises(InputError, match="line 1: expected IN"):
        scan.read(tmp_path / "a.train")


SMALL = {
    "cell": "gru",
    "embedding": 8,
    "encoder": 8,
    "encoder layers": 1,
    "attention": 8,
    "decoder": 16,
    "dropout": 0.1,
    "batch": 32,
    "buckets": 2,
    "longest": 9,
}


def run(build, folder, settings, *more):
    """A run of three epochs, from a file of settings; its one result."""
    table = json.loads((harness.HERE / f"{build.__module__.rsplit('.', 1)[1]}.json").read_text())
    training = table["training"] | {"epochs": 3, "learning_rate": 0.01, "average": 0.5}
    table |= {"settings": SMALL | settings, "training": training}
    (folder / "small.json").write_text(json.dumps(table))
    words = f"{folder} --config {folder}/small.json --runs {folder}/runs --output {folder}/out"
    (own,) = harness.main(build, None, [*words.split(), *more])["runs"]
    losses = [line["loss"] for line in own["history"]]
    assert losses[-1] < losses[0]
    return own


@pytest.mark.slow
def test_words_are_learned_in_their_sounds_and_a_file_is_scored(tmp_path):
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("ABCDE"), rng.integers(2, 7))) for _ in range(400)]
    lines = [f"{word}\t{' '.join('P' + letter for letter in word)}\n" for word in words]
    (tmp_path / "x.train").write_text("".join(lines))
    unique = list(dict.fromkeys(words))
    held_out = unique[9::10]
    (tmp_path / "test").write_text("".join(line for line in lines if line.split()[0] in held_out))
    settings = {"development, every": 10, "beam": 3, "length penalty": 0.5}
    own = run(g2p.build, tmp_path, settings, "--test", f"{tmp_path}/test")
    assert own["test"] == own["development"]
    assert 0 <= own["development"]["WER"] <= 100


@pytest.mark.slow
def test_commands_are_learned_and_longer_ones_are_held_out(tmp_path):
    verbs = {"walk": 1, "walk twice": 2, "walk thrice": 3}
    pairs = [
        (f"{a} and {b}", "I_WALK " * (n + m)) for a, n in verbs.items() for b, m in verbs.items()
    ]
    lines = [f"IN: {command} OUT: {actions.strip()}\n" for command, actions in pairs] * 20
    (tmp_path / "x.txt").write_text("".join(lines))
    (tmp_path / "test").write_text("".join(line for line in lines if line.count("I_WALK") > 4))
    settings = {"file": "x.txt", "development": 0.1, "most actions": 4}
    own = run(scan.build, tmp_path, settings, "--test", f"{tmp_path}/test")
    assert own["test"]["exact match"] == own["development"]["exact match, longer"]
