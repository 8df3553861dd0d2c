"""The folder of a run: what lies where, and who may write there."""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from rnn_jax.language.config import Config
from rnn_jax.language.corpus import Corpus, Texts, encode, read
from rnn_jax.language.errors import InputError, RunError
from rnn_jax.language.files import JsonLines, write_whole
from rnn_jax.language.text import read_text
from rnn_jax.language.vocabulary import Vocabulary


class Run:
    """A folder with everything that a run is, and that came out of it.

    `config.json` is written last of what a run needs: a folder that has it holds a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_file = folder / "config.json"
        self.vocabulary_file = folder / "vocabulary.json"
        self.default_text = folder / "default_text.txt"
        self.checkpoints = folder / "checkpoints"
        self.metrics = JsonLines(folder / "metrics.jsonl")
        self.timings = JsonLines(folder / "timings.jsonl")
        self.report = folder / "report.json"
        self.sample = folder / "sample.txt"
        self.learning_curve = folder / "learning_curve.png"
        self.gradient_by_lag = folder / "gradient_by_lag.png"
        self.spectrum = folder / "spectrum"

    @classmethod
    def create(cls, folder: str | None, config: Config, corpus: Corpus) -> Run:
        """Start a run in a folder; without one, in a new one that is named after the config.

        Raises:
            InputError: the folder holds a run already.
            RunError: the folder cannot be written.
        """
        try:
            run = cls(_new_folder(config) if folder is None else Path(folder))
            run.folder.mkdir(parents=True, exist_ok=True)
            if run.config_file.exists():
                raise InputError(
                    f"{run.folder} already holds a run: go on with it by "
                    f"`{run.resume_command}`, or give another --run"
                )
            if config.text is None and config.data is None:
                # Every Python has another one, and the run may be read by any.
                write_whole(run.default_text, read_text(None))
            record = {"text_sha256": corpus.digest, "tokens": corpus.vocabulary.tokens}
            write_whole(run.vocabulary_file, json.dumps(record, ensure_ascii=False) + "\n")
            write_whole(run.config_file, config.to_json())
        except OSError as error:
            raise RunError(
                f"cannot write the run folder: {error.strerror}: {error.filename}"
            ) from error
        return run

    @classmethod
    def open(cls, folder: str) -> Run:
        """A run that was started before.

        Raises:
            InputError: there is none in that folder.
        """
        run = cls(Path(folder))
        if not run.config_file.is_file():
            raise InputError(f"no run in {folder} (it has no config.json)")
        return run

    @property
    def resume_command(self) -> str:
        """What to type to go on with this run."""
        return f"python -m rnn_jax train --resume {shlex.quote(str(self.folder))}"

    def config(self) -> Config:
        """The settings that the run was started with."""
        return Config.from_json(_read(self.config_file), str(self.config_file))

    def vocabulary(self) -> Vocabulary:
        """The tokens, in the order of their ids."""
        return Vocabulary(tuple(self._vocabulary_record()[1]))

    def corpus(self, config: Config) -> Corpus:
        """The text that the run was started with, in the ids of the run's own vocabulary.

        Args:
            config: the settings, which say where the text lies.

        Raises:
            InputError: a file cannot be read.
            RunError: it is another text.
        """
        texts = read(config, self.default_text, test=False)
        self.check_text(texts)
        return encode(config, texts, self.vocabulary())

    def check_text(self, texts: Texts) -> None:
        """Make sure that a text is the one the run was started with.

        Raises:
            RunError: it is another one.
        """
        if texts.digest != self._vocabulary_record()[0]:
            raise RunError(
                f"the text has changed since {self.folder} was started "
                f"({texts.paths['train']}); restore it, or start a new run"
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from training in this folder; ends with the process, however.

        Raises:
            RunError: another process trains here.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"another process is training in {self.folder}") from error
            yield

    def _vocabulary_record(self) -> tuple[str, list[str]]:
        try:
            record = json.loads(_read(self.vocabulary_file))
            return record["text_sha256"], record["tokens"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.vocabulary_file} is damaged") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"cannot read {path}: {error}") from error


def _new_folder(config: Config) -> Path:
    Path("runs").mkdir(exist_ok=True)
    for number in itertools.count(1):
        folder = Path("runs") / f"{config.level}-{config.cell}-{config.hidden}-{number}"
        # Made here and now, so that two runs started at once do not share one.
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("there are numbers enough")
