"""A text made ready: its vocabulary, and what of it is for training, validation and test."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError
from rnn_jax.language.text import SPLIT, find_splits, line_of, read_text
from rnn_jax.language.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The ids of a text as the model reads it: `train` and `validation`, both (T,) int32.

    In order, or each from its end.
    """

    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray
    before: int
    """The token that the model reads before `validation`."""
    digest: str
    """SHA-256 of what training reads: what tells a resumed run that it reads the same text."""

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(inputs, targets) of `train` or `validation`, as the model reads them.

        Every token of `validation` is a target: the first one's input is the token before.
        """
        if name == "train":
            return self.train[:-1], self.train[1:]
        return _after(self.before, self.validation)


class Texts(NamedTuple):
    """The files of a config, by split. A file that is still to be cut is `train` alone."""

    paths: dict[str, str]
    """What messages call them."""
    contents: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of what training reads."""
        digest = hashlib.sha256()
        for split in ("train", "valid"):
            digest.update(self.contents.get(split, "").encode())
        return digest.hexdigest()


def load(config: Config) -> Corpus:
    """Read, split and encode the text of a config, for a new run.

    `--text` is one file, whose end is for validation. Its vocabulary is that of the whole text, so
    that validation has no token without an id. `--data` is a folder of files that are splits; each
    after the training file begins after the end of a line. Their characters are those of all of
    them: each character of each split is a target, and perplexities compare. Their words are those
    of the training file, with `<unk>` where that has it.

    Raises:
        InputError: a file cannot be read, is too short for the batch and the window, or has words
            without an id; of the test file too, while there is time to do something about it.
    """
    texts = read(config)
    corpus = encode(config, texts)
    if "test" in texts.contents:
        _encode(config, corpus.vocabulary, texts, "test")
    return corpus


def read(config: Config, kept: Path | None = None, test: bool = True) -> Texts:
    """Read the files of a config.

    Args:
        config: names them.
        kept: where a run has the text that `--text` defaults to, if it has one.
        test: whether to read the test file, too, where there is one.

    Raises:
        InputError: one of them cannot be read.
    """
    if config.data is None:
        path = str(kept) if config.text is None and kept and kept.exists() else config.text
        return Texts(
            {"train": path or "the reference that this Python carries"}, {"train": read_text(path)}
        )
    paths = find_splits(config.data)
    if not test:
        paths.pop("test", None)
    return Texts(paths, {split: read_text(path) for split, path in paths.items()})


def encode(config: Config, texts: Texts, vocabulary: Vocabulary | None = None) -> Corpus:
    """Texts -> ids, by a vocabulary, or by one that is made of them.

    Raises:
        InputError: a text is too short for the batch and the window, or has tokens without an id.
    """
    tokens = _tokens(config, texts, "train")
    if vocabulary is None and config.level == "char":
        vocabulary = Vocabulary.of(itertools.chain(*texts.contents.values()))
    elif vocabulary is None:
        vocabulary = Vocabulary.of(tokens, config.max_words)
    ids = vocabulary.encode(tokens)
    if config.data is not None:
        _check_length(config, len(ids), f"{texts.paths['train']} has {len(ids)} tokens")
        train, held_out = ids, _encode(config, vocabulary, texts, "valid")
        before = vocabulary.start
    else:
        cut = len(ids) - max(1, round(len(ids) * config.validation))
        _check_length(config, cut, f"{len(ids)} tokens leave {max(cut, 0)} for training")
        train, held_out = ids[:cut], ids[cut:]
        # What follows the end of a text that is read from there is what comes before its start.
        before = vocabulary.start if config.backward else int(ids[cut - 1])
    train, held_out = config.turned(train), config.turned(held_out)
    return Corpus(vocabulary, train, held_out, before, texts.digest)


def load_test(config: Config, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, targets) of the test file, as the model reads it; every token of it is a target.

    Raises:
        InputError: there is no test file, it cannot be read, or it has tokens without an id.
    """
    if config.data is None:
        raise InputError("there is no test split: a run of --text has train and validation")
    path = find_splits(config.data).get("test")
    if path is None:
        raise InputError(f"{config.data} has no test split: no file with test in its name")
    texts = Texts({"test": path}, {"test": read_text(path)})
    ids = _encode(config, vocabulary, texts, "test")
    return _after(vocabulary.start, config.turned(ids))


def _tokens(config: Config, texts: Texts, split: str) -> list[str]:
    try:
        return SPLIT[config.level](texts.contents[split])
    except InputError as error:
        raise InputError(f"{texts.paths[split]}: {error}") from error


def _encode(config: Config, vocabulary: Vocabulary, texts: Texts, split: str) -> np.ndarray:
    tokens = _tokens(config, texts, split)
    if strangers := vocabulary.strangers(tokens):
        content = texts.contents[split]
        shown = ", ".join(
            f"{token!r} in line {line_of(token, content, config.level)}" for token in strangers[:5]
        )
        if config.level == "word":
            raise InputError(
                f"{texts.paths[split]} has words that the training file lacks: {shown}; a run with "
                f"--max-words below {len(vocabulary)} reads them as <unk>"
            )
        raise InputError(
            f"{texts.paths[split]} has characters that no file had when the run was started: "
            f"{shown}; restore the file, or start a new run"
        )
    return vocabulary.encode(tokens)


def _after(first: int, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([np.array([first], ids.dtype), ids[:-1]]), ids


def _check_length(config: Config, tokens: int, what: str) -> None:
    longest = config.window + config.largest_offset
    needed = config.batch * longest + 1
    if tokens < needed:
        raise InputError(
            f"the text is too short: {what}, and --batch {config.batch} times --window "
            f"{config.window} needs {needed}; lower --batch or --window"
        )


def log_frequencies(ids: np.ndarray, size: int) -> np.ndarray:
    """Log of how often each token of the vocabulary occurs, one time added, (size,) float32.

    As the biases of its output they let a network begin with what counting single tokens knows,
    which it otherwise learns in its first hundreds of updates.
    """
    counts = np.bincount(ids, minlength=size) + 1
    return np.log(counts / counts.sum()).astype(np.float32)


class Streams:
    """A text cut into `batch` contiguous streams that are read side by side.

    Args:
        ids: (T,) tokens, in memory or in a file that is mapped into it.
        batch: the number of streams; fewer than `batch` tokens at the end are left over.

    >>> import numpy as np
    >>> from rnn_jax.language.corpus import Streams
    >>> streams = Streams(np.arange(10), batch=3)
    >>> inputs, targets = streams.window(1, 2)
    >>> streams.length, inputs.tolist(), targets.tolist()
    (3, [[1, 4, 7], [2, 5, 8]], [[2, 5, 8], [3, 6, 9]])
    """

    def __init__(self, ids: np.ndarray, batch: int) -> None:
        self.length = (len(ids) - 1) // batch
        # Views, both: of a file nothing is read before a window is.
        used = self.length * batch
        self._inputs = ids[:used].reshape(batch, self.length)
        self._targets = ids[1 : used + 1].reshape(batch, self.length)

    length: int
    """The steps of each stream."""

    def window(
        self, start: int, steps: int, rows: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """The steps from `start` on: (inputs, targets), both (steps, rows) int32.

        `targets[t, b]` follows `inputs[t, b]` in the text. Of the text nothing is read but these.

        Args:
            start: the first step, from 0.
            steps: how many; fewer at the end of the streams.
            rows: which of the streams.
        """
        place = (rows, slice(start, start + steps))
        inputs, targets = (
            np.ascontiguousarray(part[place].T, np.int32) for part in (self._inputs, self._targets)
        )
        return inputs, targets
