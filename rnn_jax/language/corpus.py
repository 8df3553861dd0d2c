"""A text made ready: its vocabulary, its training part, and its tail for validation."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError
from rnn_jax.language.text import SPLIT, read_text
from rnn_jax.language.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The ids of a text in order, cut once: `train`, then `validation`; both (T,) int32."""

    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray
    digest: str
    """SHA-256 of the text: what tells a resumed run that it reads the same one."""

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(inputs, targets) of a split, in order.

        Every token of `validation` is a target: the first one's input is the last of `train`.
        """
        if name == "train":
            return self.train[:-1], self.train[1:]
        return np.concatenate([self.train[-1:], self.validation[:-1]]), self.validation


def load(config: Config) -> Corpus:
    """Read, split and encode the text of a config.

    The vocabulary is that of the whole text, so that validation has no token without an id.

    Raises:
        InputError: the text cannot be read, or is too short for the batch and the window.
    """
    text = read_text(config.text)
    tokens = SPLIT[config.level](text)
    vocabulary = Vocabulary.of(tokens, config.max_words if config.level == "word" else None)
    ids = vocabulary.encode(tokens)
    cut = len(ids) - max(1, round(len(ids) * config.validation))
    needed = config.batch * config.window + 1
    if cut < needed:
        raise InputError(
            f"the text is too short: {len(ids)} tokens leave {max(cut, 0)} for training, and "
            f"--batch {config.batch} times --window {config.window} needs {needed}; "
            "lower --batch or --window"
        )
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Corpus(vocabulary, ids[:cut], ids[cut:], digest)


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
