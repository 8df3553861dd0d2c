"""A text made ready: its vocabulary, and what of it is for training, validation and test."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError
from rnn_jax.language.text import SPLIT, find_splits, read_text
from rnn_jax.language.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The ids of a text in order: `train` and `validation`, both (T,) int32."""

    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray
    before: int
    """The token that comes before `validation`."""
    digest: str
    """SHA-256 of what training reads: what tells a resumed run that it reads the same text."""

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(inputs, targets) of `train` or `validation`, in order.

        Every token of `validation` is a target: the first one's input is the token before.
        """
        if name == "train":
            return self.train[:-1], self.train[1:]
        return _after(self.before, self.validation)


def load(config: Config) -> Corpus:
    """Read, split and encode the text of a config.

    `--text` is one file, whose end is for validation. Its vocabulary is that of the whole text, so
    that validation has no token without an id. `--data` is a folder of files that are splits; its
    vocabulary is that of the training file, and each other file begins after the end of a line.

    Raises:
        InputError: a file cannot be read, is too short for the batch and the window, or has tokens
            without an id.
    """
    if config.data is not None:
        return _load_splits(config, config.data)
    text = read_text(config.text)
    vocabulary, ids = _learn(config, text)
    cut = len(ids) - max(1, round(len(ids) * config.validation))
    _check_length(config, cut, f"{len(ids)} tokens leave {max(cut, 0)} for training")
    return Corpus(vocabulary, ids[:cut], ids[cut:], int(ids[cut - 1]), _digest(text))


def load_test(config: Config, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, targets) of the test file, in order; every token of it is a target.

    Raises:
        InputError: there is no test file, or it cannot be read.
    """
    if config.data is None:
        raise InputError("there is no test split: a run of --text has train and validation")
    path = find_splits(config.data).get("test")
    if path is None:
        raise InputError(f"{config.data} has no test split: no file with test in its name")
    return _after(vocabulary.start, _encode(config, vocabulary, path, read_text(path)))


def _load_splits(config: Config, folder: str) -> Corpus:
    paths = find_splits(folder)
    train, validation = (read_text(paths[name]) for name in ("train", "valid"))
    vocabulary, ids = _learn(config, train)
    _check_length(config, len(ids), f"{paths['train']} has {len(ids)} tokens")
    held_out = _encode(config, vocabulary, paths["valid"], validation)
    return Corpus(vocabulary, ids, held_out, vocabulary.start, _digest(train, validation))


def _learn(config: Config, text: str) -> tuple[Vocabulary, np.ndarray]:
    tokens = SPLIT[config.level](text)
    vocabulary = Vocabulary.of(tokens, config.max_words if config.level == "word" else None)
    return vocabulary, vocabulary.encode(tokens)


def _encode(config: Config, vocabulary: Vocabulary, path: str, text: str) -> np.ndarray:
    try:
        return vocabulary.encode(SPLIT[config.level](text))
    except InputError as error:
        advice = "; with a smaller --max-words they are read as <unk>"
        raise InputError(
            f"{path} has tokens that the training file lacks: {error}"
            + (advice if config.level == "word" else "")
        ) from error


def _after(first: int, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([np.array([first], ids.dtype), ids[:-1]]), ids


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
    return digest.hexdigest()


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


def streams(ids: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a text into `batch` contiguous streams that are read side by side.

    Args:
        ids: (T,) tokens.
        batch: the number of streams; fewer than `batch` tokens at the end are left over.

    Returns:
        (inputs, targets), both (T', batch): `targets[t, b]` follows `inputs[t, b]` in the text.
    """
    length = (len(ids) - 1) // batch
    inputs = ids[: length * batch].reshape(batch, length).T
    targets = ids[1 : length * batch + 1].reshape(batch, length).T
    return np.ascontiguousarray(inputs), np.ascontiguousarray(targets)
