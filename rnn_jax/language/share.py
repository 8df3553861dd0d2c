"""A run's model in a folder for others: the layer, its params, and the tokens that it knows."""

from __future__ import annotations

import json
from pathlib import Path

import rnn_jax as rnn
from rnn_jax.language.config import Config
from rnn_jax.language.errors import RunError, reason
from rnn_jax.language.files import write_whole
from rnn_jax.language.vocabulary import Vocabulary

VOCABULARY = "vocabulary.json"


def share(
    model: rnn.Cell, params: rnn.Params, config: Config, vocabulary: Vocabulary, folder: Path
) -> list[str]:
    """Write the folder that `rnn_jax.load` reads, and `vocabulary.json` beside it.

    `vocabulary.json` holds `tokens`, in the order of their ids; `level`, what a token is; and
    `backward`, whether the model reads a text from its end.

    Returns:
        The names of the files in the folder.

    Raises:
        ArgumentError: the folder holds something else, or safetensors is missing.
        RunError: the folder cannot be written.
    """
    rnn.save(folder, model, params)
    record = {
        "level": config.level,
        "backward": config.backward,
        "tokens": vocabulary.tokens,
    }
    try:
        write_whole(folder / VOCABULARY, json.dumps(record, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RunError(f"cannot write {folder / VOCABULARY}: {reason(error)}") from error
    return sorted(path.name for path in folder.iterdir())
