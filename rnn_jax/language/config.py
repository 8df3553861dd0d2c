"""Every setting of a run, in one frozen value.

A field of `Config` is the whole definition of a setting: its default, its help text, what it
may be. The command-line option, the entry in `config.json` and the check are made from it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from rnn_jax.errors import RNNError
from rnn_jax.language.cells import CELLS
from rnn_jax.language.errors import InputError, RunError
from rnn_jax.language.files import read_json

LEVELS = ("char", "word")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "linear", "cosine", "halving")
RESUMABLE = ("text", "data", "epochs", "steps")
"""What may be another when a run goes on: where its text lies, and how long it is."""
_WIDE = 2**16  # wider, and the weights of one gate alone are 16 GiB
_DEEP = 2**8
_INT = 2**31  # what JAX counts with, unless a setting has a limit of its own


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a field of `Config` may be, beside its default."""

    help: str
    kind: type
    choices: Collection[str] = ()
    at_least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    optional: bool = False


def _setting(default: Any, kind: type, help: str, **limits: Any) -> Any:
    if kind is int:
        limits.setdefault("below", _INT)
    rule = Setting(help, kind, optional=default is None, **limits)
    return dataclasses.field(default=default, metadata={"setting": rule})


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a run. One that exists is valid.

    Raises:
        InputError: a value is of the wrong type or out of range; the message names the option.
    """

    text: str | None = _setting(
        None,
        str,
        "UTF-8 text file to learn (default: the reference of this Python, which the run keeps)",
    )
    data: str | None = _setting(
        None,
        str,
        "instead of --text: folder of a text that is split already, with one file each whose name "
        "has train, valid and, if there is one, test in it, in whatever case",
    )
    level: str = _setting("char", str, "what a token is", choices=LEVELS)
    max_words: int = _setting(
        10_000, int, "word level: size of the vocabulary, the rarer words become <unk>", at_least=2
    )
    backward: bool = _setting(
        False,
        bool,
        "read the text from its end, and predict the token before; what the model writes ends with "
        "the prompt",
    )
    validation: float = _setting(
        0.1, float, "part of --text, at its end, kept for validation", above=0, below=1
    )
    cell: str = _setting("lstm", str, "the recurrent cell", choices=CELLS)
    hidden: int = _setting(256, int, "units of each recurrent layer", at_least=1, below=_WIDE)
    layers: int = _setting(1, int, "recurrent layers", at_least=1, below=_DEEP)
    time_scales: float = _setting(
        0.0,
        float,
        "make the units leaky, each with a time scale that it learns: the longest, in steps, that "
        "one starts with; 0: not leaky",
        at_least=0,
    )
    embedding: int = _setting(64, int, "length of a token's vector", at_least=1, below=_WIDE)
    vectors: str | None = _setting(
        None,
        str,
        "file of word2vec or GloVe whose vectors, --embedding long, the tokens begin with; tokens "
        "that it lacks begin with drawn ones of the same size",
    )
    freeze_vectors: bool = _setting(
        False, bool, "leave the --vectors as they are: train all but them"
    )
    tied: bool = _setting(
        False,
        bool,
        "the output layer shares the vectors of the tokens; between them and the last recurrent "
        "layer, if that is not --embedding wide, lies a dense one",
    )
    dropout_inputs: float = _setting(
        0.1, float, "part of a token's vector that is dropped", at_least=0, below=1
    )
    dropout_outputs: float = _setting(
        0.1, float, "part of what each recurrent layer emits that is dropped", at_least=0, below=1
    )
    dropout_state: float = _setting(
        0.0, float, "part of the state that its weights do not see", at_least=0, below=1
    )
    window: int = _setting(64, int, "steps the gradient goes back (k2)", at_least=1)
    stride: int | None = _setting(
        None, int, "steps from one window to the next (k1; default: the window)", at_least=1
    )
    jitter: bool = _setting(False, bool, "begin each epoch at another token, drawn from the seed")
    batch: int = _setting(32, int, "parallel streams the text is cut into", at_least=1)
    accumulate: int = _setting(
        1,
        int,
        "go through the streams in so many equal parts, one after the other, for one update: it "
        "needs the memory of one part",
        at_least=1,
    )
    optimizer: str = _setting("adam", str, "how a gradient becomes a step", choices=OPTIMIZERS)
    learning_rate: float = _setting(1e-2, float, "largest step size", above=0)
    schedule: str = _setting(
        "linear",
        str,
        "step size after --warmup: constant, down to 0 (linear or cosine), or halved at each "
        "validation from the first one on that is not 0.3%% better",
        choices=SCHEDULES,
    )
    warmup: int = _setting(100, int, "updates in which the step size rises from 0", at_least=0)
    weight_decay: float = _setting(
        0.1,
        float,
        "part of the weight matrices, times the step size, that each update takes",
        at_least=0,
    )
    clip: float = _setting(1.0, float, "largest global norm of a gradient; 0: any", at_least=0)
    average: float = _setting(
        0.0,
        float,
        "validate the average of the weights over updates, older ones forgotten at this rate",
        at_least=0,
        below=1,
    )
    epochs: int = _setting(6, int, "passes over the text", at_least=1)
    steps: int | None = _setting(None, int, "updates in all, instead of --epochs", at_least=1)
    patience: int = _setting(
        0, int, "end after so many validations without a better one; 0: never", at_least=0
    )
    seed: int = _setting(
        0, int, "seed of the parameters, of noise, and of the sample", at_least=0, below=2**32
    )
    checkpoint_every: int = _setting(
        100, int, "updates between checkpoints; 0: one an epoch", at_least=0
    )
    log_every: int = _setting(10, int, "updates between lines of training metrics", at_least=1)
    eval_every: int = _setting(
        100, int, "updates between passes over the validation text; 0: one an epoch", at_least=0
    )

    def __post_init__(self) -> None:
        for name, rule in settings().items():
            _check(option(name), getattr(self, name), rule)
        if self.stride is not None and self.stride > self.window:
            raise InputError(
                f"--stride must be at most --window ({self.window}), or tokens between two windows "
                f"would be skipped; got {self.stride}"
            )
        if self.batch % self.accumulate:
            raise InputError(
                f"--batch {self.batch} does not divide into --accumulate {self.accumulate} equal "
                "parts"
            )
        if self.text is not None and self.data is not None:
            raise InputError("--text and --data are two ways to name a text; leave one out")
        if self.freeze_vectors and self.vectors is None:
            raise InputError("--freeze-vectors goes with --vectors, which names their file")

    @property
    def effective_stride(self) -> int:
        """k1: the steps from one window to the next."""
        return self.window if self.stride is None else self.stride

    @property
    def largest_offset(self) -> int:
        """The last token of a stream that an epoch may begin at."""
        return self.effective_stride - 1 if self.jitter else 0

    def without_places(self) -> Config:
        """The same settings, wherever the text lies: what processes on many machines agree on."""
        return dataclasses.replace(self, text=None, data=None)

    def turned(self, ids: np.ndarray) -> np.ndarray:
        """Tokens (T, ...) of a text in the order in which the model reads them, and back."""
        return ids[::-1] if self.backward else ids

    def to_json(self) -> str:
        """The config as the text of `config.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Config:
        """The inverse of `to_json`, from a file.

        Raises:
            RunError: the file is damaged, or is from a version with other settings.
        """
        try:
            return cls(**read_settings(path, RunError))
        except InputError as error:
            raise RunError(f"{path}: {error}") from error

    def resumed(self, **given: Any) -> Config:
        """The settings of a run that goes on, where some of `RESUMABLE` are given anew.

        `steps` takes the place of `epochs`, and the other way round. A schedule that ends with the
        run, `linear` or `cosine`, goes on as that of the new length.

        Raises:
            InputError: it would be another run, or a value is out of range.
        """
        named = "data" if self.data is not None else "text"
        other = {"data": "text", "text": "data"}[named]
        if other in given:
            raise InputError(
                f"the run was started with {option(named)}, and {option(other)} divides a text "
                f"in another way; name its place by {option(named)}"
            )
        if "epochs" in given:
            given = {"steps": None} | given
        return dataclasses.replace(self, **given)


def read_settings(path: Path, kind: type[RNNError] = InputError) -> dict[str, Any]:
    """Some settings, by name, from a file like `config.json`.

    Raises:
        InputError: it cannot be read, is no JSON, or names what is no setting; or another `kind`.
    """
    values = read_json(path, kind)
    if not isinstance(values, dict):
        raise kind(f"{path} is damaged: expected the settings of a run")
    unknown = sorted(set(values) - set(settings()))
    if unknown:
        raise kind(f"{path} has settings this version does not know: {', '.join(unknown)}")
    return values


def settings() -> dict[str, Setting]:
    """Field name -> rule, in the order of the fields."""
    return {field.name: field.metadata["setting"] for field in dataclasses.fields(Config)}


def option(name: str) -> str:
    """The command-line option of a field: `learning_rate` -> `--learning-rate`."""
    return "--" + name.replace("_", "-")


def _check(name: str, value: Any, rule: Setting) -> None:
    if value is None and rule.optional:
        return
    shown = reprlib.repr(value)  # shortened, for a file may hold anything
    # A whole number is a fine float; True is not a fine int, though Python says it is one.
    kinds: tuple[type, ...] = (int, float) if rule.kind is float else (rule.kind,)
    fits = isinstance(value, kinds) and isinstance(value, bool) == (rule.kind is bool)
    if not fits:
        raise InputError(f"{name} must be of type {rule.kind.__name__}, got {shown}")
    if rule.choices and value not in rule.choices:
        raise InputError(
            f"{name}: unknown {reprlib.repr(value)}; the known ones are {', '.join(rule.choices)}"
        )
    if isinstance(value, str | bool):
        return
    if not abs(value) <= sys.float_info.max:  # an int may be larger than any float
        raise InputError(f"{name} must be finite, got {shown}")
    if value < rule.at_least:
        raise InputError(f"{name} must be at least {rule.at_least}, got {shown}")
    if value <= rule.above:
        raise InputError(f"{name} must be greater than {rule.above}, got {shown}")
    if value >= rule.below:
        raise InputError(f"{name} must be less than {rule.below}, got {shown}")
