"""A text that is larger than memory: in blocks it is what it is as a whole, and memory stays."""

import functools
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from rnn_jax.language import comparison, tokens
from rnn_jax.language.baselines import baselines, table
from rnn_jax.language.config import LEVELS, Config
from rnn_jax.language.corpus import Corpus, Streams, load, log_frequencies
from rnn_jax.language.errors import InputError, RunError
from rnn_jax.language.text import SPLIT, blocks, pieces
from rnn_jax.language.tokens import Text, in_blocks, release
from rnn_jax.language.vocabulary import Vocabulary, count

ROOT = Path(__file__).parent.parent
PARTS = ["a", "bc", " ", "\n", "\r\n", "\u00e9", "\u4f60", "\U0001d11e", "\u2028", "\x85", "\ufeff"]
texts = st.lists(st.sampled_from([*PARTS, "\n\n", "<eos>x"]), min_size=1).map("".join)
in_a_folder = hypothesis.settings(
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)


def by_definition(text, level):
    """The tokens of a text, from it as a whole."""
    if level == "char":
        return [*text]
    *lines, rest = text.split("\n")
    return [token for line in lines for token in [*line.split(), "<eos>"]] + rest.split()


@in_a_folder
@hypothesis.given(texts, st.integers(1, 9), st.booleans())
def test_a_text_in_blocks_has_the_tokens_of_the_whole(tmp_path, text, size, marked):
    hypothesis.assume(text.encode().strip())
    path = tmp_path / "text"
    path.write_bytes(text.encode("utf-8-sig" if marked else "utf-8"))
    text = path.read_bytes().decode("utf-8-sig")  # one mark of the bytes' order is no part of it
    for level in LEVELS:
        found = [*pieces(level, blocks(str(path), size))]
        assert "".join(piece.text for piece in found) == text
        assert [t for piece in found for t in SPLIT[level](*piece)] == by_definition(text, level)
        begun = ""
        for piece in found:
            assert piece.line == begun.count("\n") + 1
            begun += piece.text


@in_a_folder
@hypothesis.given(
    texts,
    st.integers(1, 9),
    st.sampled_from(
        [
            (b"\xffabc", "not UTF-8 text (byte 0xff"),
            (b"\xe4\xbdx", "not UTF-8 text (byte 0xe4"),
            (b"\xf0\x9d\x84", "not UTF-8 text (byte 0xf0"),  # cut off by the end of the file
            (b"\0abc", "binary (a zero byte"),
        ]
    ),
    st.booleans(),
)
def test_what_is_no_text_is_found_at_its_byte(tmp_path, text, size, wrong, marked):
    content, message = wrong
    before = text.encode("utf-8-sig" if marked else "utf-8")
    path = tmp_path / "text"
    path.write_bytes(before + content)
    with pytest.raises(InputError) as error:
        list(blocks(str(path), size))
    assert f"{message} at {len(before)})" in str(error.value)


@hypothesis.settings(max_examples=30)
@hypothesis.given(texts, st.integers(0, 5))
def test_counts_and_ids_are_those_of_single_tokens(text, limit):
    for level in LEVELS:
        said = by_definition(text, level)
        counts = count([SPLIT[level](text)])
        assert counts == {token: said.count(token) for token in said}
        vocabulary = Vocabulary.of(counts, limit + 2 if level == "word" else None)
        assert vocabulary == Vocabulary.of(said, limit + 2 if level == "word" else None)
        ids = vocabulary.encode(SPLIT[level](text))
        assert ids.dtype == np.int32
        unknown = vocabulary.ids.get("<unk>")
        assert ids.tolist() == [vocabulary.ids.get(token, unknown) for token in said]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(tokens, "blocks", functools.partial(blocks, size=7))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("level", LEVELS)
def test_ids_lie_between_two_starts_in_a_file_without_a_name(tmp_path, level):
    text = "".join(chr(0x3B1 + n % 24) + " \n"[n % 5 == 0] for n in range(600))
    (tmp_path / "text").write_text(text)
    read = Text.read(str(tmp_path / "text"), level)
    vocabulary = Vocabulary.of(read.counts)
    room = tmp_path / "room"
    room.mkdir()
    ids = read.ids(vocabulary, room)
    expected = vocabulary.encode(by_definition(text, level))
    assert ids.tolist() == [vocabulary.start, *expected, vocabulary.start]
    assert ids.dtype == np.uint8
    assert not ids.flags.writeable
    assert not list(room.iterdir())
    release(ids[1:][::-1])
    assert np.concatenate([*in_blocks(ids[1:-1], 11)]).tolist() == expected.tolist()
    with pytest.raises(RunError, match=r"cannot write the ids of .* No such file"):
        read.ids(vocabulary, tmp_path / "nowhere")


@pytest.mark.parametrize(("size", "dtype"), [(256, np.uint8), (257, np.uint16), (65537, np.uint32)])
def test_an_id_has_as_few_bytes_as_the_vocabulary_allows(tmp_path, size, dtype):
    (tmp_path / "text").write_text("a")
    vocabulary = Vocabulary((*map(str, range(size - 1)), "a"))
    ids = Text.read(str(tmp_path / "text"), "char").ids(vocabulary)
    assert (ids.dtype, ids.tolist()) == (dtype, [0, size - 1, 0])


@pytest.mark.usefixtures("small_blocks")
def test_the_line_of_a_mistake_is_counted_over_blocks(tmp_path):
    path = tmp_path / "text"
    path.write_text("the cat\n" * 6 + "a zebra sat\n")
    with pytest.raises(InputError, match=r"text has words .*: 'sat' in line 7, 'zebra' in line 7"):
        Text.read(str(path), "word").check(Vocabulary(("<eos>", "a", "cat", "the")))
    with pytest.raises(InputError, match=r"text has characters .*: 'z' in line 7; restore"):
        Text.read(str(path), "char").check(Vocabulary(tuple("\n abcehrst")))
    path.write_text("the cat\n" * 6 + "sat <eos>\n")
    with pytest.raises(InputError, match=r"text: line 7 has the word <eos>, which stands for"):
        Text.read(str(path), "word")


def test_a_text_that_changes_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "text"
    path.write_text("abcabc")
    read = Text.read(str(path), "char")
    path.write_text("abcabca")
    with pytest.raises(InputError, match="text was changed while it was read; start again"):
        read.ids(Vocabulary.of("abc"))


def test_a_pipe_is_refused_for_it_can_be_read_once_only():
    reading, writing = os.pipe()
    try:
        if not Path(f"/dev/fd/{reading}").exists():
            pytest.skip("this system gives no pipe a path")
        with pytest.raises(InputError, match="is a pipe, and a text is read more than once; write"):
            load(Config(text=f"/dev/fd/{reading}"))
    finally:
        os.close(reading)
        os.close(writing)


def test_counts_are_of_the_first_part_of_a_long_text(monkeypatch, rng):
    ids = rng.integers(0, 6, 900).cumsum() % 6
    corpus = Corpus(Vocabulary(tuple("abcdef")), ids[:800], ids[799:], "")
    pairs, losses = corpus.split("validation"), np.ones(100)
    whole = comparison.compare(corpus, pairs, losses).rows()
    assert list(whole)[1:] == ["Kneser-Ney 5-gram counts", "bigram counts", "unigram counts"]
    for module in (comparison, table):
        monkeypatch.setattr(module, "COUNTED", 300)
    rows = comparison.compare(corpus, pairs, losses).rows()
    monkeypatch.undo()
    first = baselines(ids[:300], *pairs, 6)
    names = [f"{n} counts of the first 300 tokens" for n in ("Kneser-Ney 5-gram", "bigram")]
    assert [rows[name] for name in names] == [first.kneser_ney, first.bigram]
    assert first.bigram != whole["bigram counts"]


# -- memory ----------------------------------------------------------------------------------------


def written(path, size, line):
    path.write_text(line * (size // len(line)))
    return str(path)


@pytest.mark.parametrize(
    ("level", "line"),
    [
        ("char", "a text of a single line, however long, "),
        pytest.param("word", "twelve words of a line, and its end\n", marks=pytest.mark.slow),
    ],
)
def test_a_text_is_made_ready_in_the_memory_of_a_few_blocks(tmp_path, level, line):
    path = written(tmp_path / "text", 8 * 2**20, line)
    tracemalloc.start()
    try:
        corpus = load(Config(text=path, level=level, validation=0.001), tmp_path)
        log_frequencies(corpus.train, len(corpus.vocabulary))
        Streams(corpus.train, 32).window(1000, 64)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 56 * 2**20  # a list of the characters alone is 64 MiB


READ = """
import sys
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import Streams, load, log_frequencies

corpus = load(Config(text=sys.argv[1], level=sys.argv[2]), ".")
log_frequencies(corpus.train, len(corpus.vocabulary))
streams = Streams(corpus.train, 32)
for start in range(0, streams.length, 1000):
    streams.window(start, 1000)
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize("level", LEVELS)
def test_a_process_that_reads_all_of_a_text_does_not_grow_with_it(tmp_path, level):
    def peak(size):
        path = written(tmp_path / "text", size, "twelve words of a line, and its end\n")
        done = subprocess.run(
            [sys.executable, "-c", READ, path, level],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    small, large = peak(4 * 2**20), peak(128 * 2**20)
    assert large < small + 24, "MiB"
