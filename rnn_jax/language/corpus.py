"""A text made ready: its vocabulary, and what of it is for training, validation and test."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError
from rnn_jax.language.text import BLOCK, find_splits
from rnn_jax.language.tokens import Text, in_blocks, release
from rnn_jax.language.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The ids of a text as the model reads it, in order, or each part from its end.

    Of integers as small as the vocabulary allows, mapped from a file: what is sliced is read.
    """

    vocabulary: Vocabulary
    train: np.ndarray
    """(T,)"""
    held_out: np.ndarray
    """(T' + 1,): `validation`, and in front of it the token that the model reads before."""
    digest: str
    """SHA-256 of what training reads: what tells a resumed run that it reads the same text."""

    @property
    def validation(self) -> np.ndarray:
        """(T',)."""
        return self.held_out[1:]

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(inputs, targets) of `train` or `validation`, as the model reads them.

        Every token of `validation` is a target: the first one's input is the token before.
        """
        return _pairs(self.train if name == "train" else self.held_out)


@dataclasses.dataclass(frozen=True)
class Texts:
    """The texts of a config after one pass over each, by split.

    One that is still to be cut is `train` alone.
    """

    config: Config
    splits: dict[str, Text]
    digest: str
    """SHA-256 of what training reads."""

    def vocabulary(self) -> Vocabulary:
        """The vocabulary that the config makes of them.

        Of a text that is cut it is that of the whole, so that validation has no token without an
        id. Characters of splits are those of all of them: each character of each split is a
        target, and perplexities compare. Words are those of the training file, with `<unk>` where
        that has it.

        Raises:
            InputError: a text is too short for the batch and the window, or has words without an
                id.
        """
        config, train = self.config, self.splits["train"]
        if config.data is not None:
            _check_length(config, len(train), f"{train.name} has {len(train)} tokens")
        else:
            cut = self._cut
            _check_length(config, cut, f"{len(train)} tokens leave {max(cut, 0)} for training")
        if config.level == "char":
            counts: collections.Counter[str] = collections.Counter()
            for text in self.splits.values():
                counts.update(text.counts)
            return Vocabulary.of(counts)
        vocabulary = Vocabulary.of(train.counts, config.max_words)
        for text in self.splits.values():
            text.check(vocabulary)
        return vocabulary

    def corpus(self, vocabulary: Vocabulary, folder: Path | None = None) -> Corpus:
        """The texts in the ids of a vocabulary, which lie in a folder, or with temporary files.

        Raises as `Text.ids` does.
        """
        config = self.config
        ids = self.splits["train"].ids(vocabulary, folder)
        if config.data is not None:
            train = ids[1:-1]
            held_out = _after_the_start(config, self.splits["valid"].ids(vocabulary, folder))
        else:
            train, rest = ids[1 : self._cut + 1], ids[self._cut :]
            # What is read before the rest: the token that lies before it; or, of a text that is
            # read from its end, what follows that.
            held_out = config.turned(rest[1:] if config.backward else rest[:-1])
        return Corpus(vocabulary, config.turned(train), held_out, self.digest)

    @property
    def _cut(self) -> int:
        """How many tokens of a text that is cut are for training."""
        tokens = len(self.splits["train"])
        return tokens - max(1, round(tokens * self.config.validation))


def load(config: Config, folder: Path | None = None) -> Corpus:
    """Read, split and encode the text of a config, for a new run.

    `--text` is one file, whose end is for validation. `--data` is a folder of files that are
    splits; each after the training file begins after the end of a line.

    Raises:
        InputError: a file cannot be read, is too short for the batch and the window, or has words
            without an id; of the test file too, while there is time to do something about it.
        RunError: the ids cannot be written.
    """
    texts = read(config)
    return texts.corpus(texts.vocabulary(), folder)


def read(config: Config, kept: Path | None = None, test: bool = True) -> Texts:
    """Read the files of a config once.

    Args:
        config: names them.
        kept: where a run has the text that `--text` defaults to, if it has one.
        test: whether to read the test file, too, where there is one.

    Raises:
        InputError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    if config.data is None:
        path = str(kept) if config.text is None and kept and kept.exists() else config.text
        splits = {"train": Text.read(path, config.level, digest.update)}
    else:
        paths = find_splits(config.data)
        if not test:
            paths.pop("test", None)
        splits = {
            split: Text.read(path, config.level, None if split == "test" else digest.update)
            for split, path in paths.items()
        }
    return Texts(config, splits, digest.hexdigest())


def load_test(
    config: Config, vocabulary: Vocabulary, folder: Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, targets) of the test file, as the model reads it; every token of it is a target.

    Raises:
        InputError: there is no test file, it cannot be read, or it has tokens without an id.
        RunError: the ids cannot be written.
    """
    if config.data is None:
        raise InputError("there is no test split: a run of --text has train and validation")
    path = find_splits(config.data).get("test")
    if path is None:
        raise InputError(f"{config.data} has no test split: no file with test in its name")
    text = Text.read(path, config.level)
    text.check(vocabulary)
    return _pairs(_after_the_start(config, text.ids(vocabulary, folder)))


def _after_the_start(config: Config, ids: np.ndarray) -> np.ndarray:
    """Of ids between two starts, those that the model reads, and the start before them."""
    return config.turned(ids)[:-1]


def _pairs(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return ids[:-1], ids[1:]


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
    counts = np.ones(size, np.int64)
    for block in in_blocks(ids):
        counts += np.bincount(block, minlength=size)
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
        self._read = 0

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
        self._read += inputs.size
        if self._read > BLOCK:  # now and then, for a page that is needed again has its price
            release(self._inputs)
            self._read = 0
        return inputs, targets
