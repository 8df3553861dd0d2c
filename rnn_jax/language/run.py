"""The folder of a run: what lies where, and who may write there."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rnn_jax.language.config import Config
from rnn_jax.language.corpus import Corpus, read
from rnn_jax.language.errors import InputError, RunError, reason
from rnn_jax.language.files import JsonLines, read_json, write_whole
from rnn_jax.language.measures import is_measured
from rnn_jax.language.text import read_text
from rnn_jax.language.vocabulary import Vocabulary


class Run:
    """A folder with everything that a run is, and that came out of it.

    `config.json` is written last of what a run needs: a folder that has it holds a run.

    Args:
        folder: where it lies.
        writes: whether this process is the one that writes there, of all that train the run.
    """

    def __init__(self, folder: Path, writes: bool = True) -> None:
        self.folder = folder
        self._writes = writes
        self.config_file = folder / "config.json"
        self.vocabulary_file = folder / "vocabulary.json"
        self.default_text = folder / "default_text.txt"
        self.vectors = folder / "vectors.npy"
        self.checkpoints = folder / "checkpoints"
        self.metrics = JsonLines(folder / "metrics.jsonl", is_measured, writes)
        self.timings = JsonLines(folder / "timings.jsonl", writes=writes)
        self.report = folder / "report.json"
        self.sample = folder / "sample.txt"
        self.learning_curve = folder / "learning_curve.png"
        self.gradient_by_lag = folder / "gradient_by_lag.png"
        self.spectrum = folder / "spectrum"

    @classmethod
    def create(
        cls,
        folder: str | None,
        config: Config,
        digest: str,
        vocabulary: Vocabulary,
        table: np.ndarray | None = None,
    ) -> Run:
        """Start a run in a folder; without one, in a new one that is named after the config.

        Args:
            folder: where.
            config: its settings.
            digest: of its `corpus.Texts`.
            vocabulary: of its tokens.
            table: what its embedding begins with: kept, for a run that is killed before its first
                checkpoint begins with it again.

        Raises:
            InputError: the folder holds a run already.
            RunError: the folder cannot be written, or another process is at it.
        """
        try:
            run = cls(_new_folder(config) if folder is None else Path(folder))
            run.folder.mkdir(parents=True, exist_ok=True)
            with run.locked():  # or two that start here at once have parts of each other
                if run.config_file.exists():
                    raise InputError(
                        f"{run.folder} already holds a run: go on with it by "
                        f"`{run.resume_command}`, or give another --run"
                    )
                if config.text is None and config.data is None:
                    # Every Python has another one, and the run may be read by any.
                    write_whole(run.default_text, read_text(None))
                if table is not None:
                    content = io.BytesIO()
                    np.save(content, table)
                    write_whole(run.vectors, content.getvalue())
                record = {"text_sha256": digest, "tokens": vocabulary.tokens}
                write_whole(run.vocabulary_file, json.dumps(record, ensure_ascii=False) + "\n")
                run.write_config(config)
        except OSError as error:
            raise RunError(
                f"cannot write the run folder: {error.strerror}: {error.filename}"
            ) from error
        return run

    @classmethod
    def open(cls, folder: str, writes: bool = True) -> Run:
        """A run that was started before.

        Raises:
            InputError: there is none in that folder.
        """
        run = cls(Path(folder), writes)
        if not run.config_file.is_file():
            raise InputError(f"no run in {folder} (it has no config.json)")
        return run

    @property
    def resume_command(self) -> str:
        """What to type to go on with this run."""
        return f"python -m rnn_jax train --resume {shlex.quote(str(self.folder))}"

    @property
    def again(self) -> str:
        """The same in words, for whoever lost a run."""
        return f"`{self.resume_command}` goes on from the last checkpoint"

    def config(self) -> Config:
        """The settings that the run was started with, or last went on with."""
        return Config.read(self.config_file)

    def write_config(self, config: Config) -> None:
        """Write down other settings, at one stroke."""
        if not self._writes:
            return
        write_whole(self.config_file, config.to_json())

    def vocabulary(self) -> Vocabulary:
        """The tokens, in the order of their ids."""
        return Vocabulary(self._vocabulary_record()[1])

    def table(self, config: Config) -> np.ndarray | None:
        """What the embedding begins with, (V, E) float32; None if it is drawn.

        Raises:
            RunError: it is not there, or damaged.
        """
        if config.vectors is None:
            return None
        try:
            table = np.load(self.vectors, allow_pickle=False)
        except OSError as error:
            raise RunError(
                f"cannot read {self.vectors}: {reason(error)}; restore it, or start a new run"
            ) from error
        except ValueError as error:
            raise RunError(f"{self.vectors} is damaged; start a new run") from error
        if (table.shape, table.dtype) != ((len(self.vocabulary()), config.embedding), np.float32):
            raise RunError(f"{self.vectors} is not the table of this run; start a new one")
        return table

    def corpus(self, config: Config) -> Corpus:
        """The text of the run, from where its config, or one that takes its place, says it is.

        In the ids of the run's own vocabulary, which may have characters of a test file as well.

        Raises:
            InputError: there is none, or it cannot be used.
            RunError: it is another text than the run was started with.
        """
        place = config.text if config.data is None else config.data
        if place is not None and not Path(place).exists():
            where = "--text" if config.data is None else "--data"
            raise InputError(
                f"no such text: {place}; if the text of {self.folder} was moved, name its place "
                f"by {where}"
            )
        texts = read(config, self.default_text, test=False)
        digest, tokens = self._vocabulary_record()
        if texts.digest != digest:
            raise RunError(
                f"the text has changed since {self.folder} was started "
                f"({texts.splits['train'].name}); restore it, or start a new run"
            )
        made = texts.vocabulary().tokens
        of_test = len(tokens) > len(made) and config.level == "char" and config.data is not None
        if tokens != made and not (of_test and [t for t in tokens if t in made] == list(made)):
            raise RunError(
                f"{self.vocabulary_file} is not the vocabulary that {self.config_file} makes of "
                "the text; restore what was edited, or start a new run"
            )
        return texts.corpus(Vocabulary(tokens), self.room)

    @property
    def room(self) -> Path | None:
        """Where large files without a name may lie: the folder, unless nobody may write there."""
        return self.folder if os.access(self.folder, os.W_OK) else None

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
        if not self._writes:  # the process that does holds it for all
            yield
            return
        path = self.folder / "lock"
        try:
            file = path.open("a")
        except OSError as error:
            raise RunError(f"cannot open {path}: {reason(error)}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"another process is training in {self.folder}") from error
            except OSError as error:
                raise RunError(f"cannot lock {path}: {reason(error)}") from error
            yield

    def _vocabulary_record(self) -> tuple[str, tuple[str, ...]]:
        record = read_json(self.vocabulary_file)
        try:
            digest, tokens = record["text_sha256"], record["tokens"]
            "".join(tokens).encode()
        except (LookupError, TypeError, ValueError) as error:
            raise RunError(f"{self.vocabulary_file} is damaged") from error
        if not (isinstance(tokens, list) and tokens and len(tokens) == len(set(tokens))):
            raise RunError(f"{self.vocabulary_file} is damaged: expected a list of tokens")
        return digest, tuple(tokens)


def _new_folder(config: Config) -> Path:
    Path("runs").mkdir(exist_ok=True)
    for number in itertools.count(1):
        folder = Path("runs") / f"{config.level}-{config.cell}-{config.hidden}-{number}"
        # Made here and now, so that two runs started at once do not share one.
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("there are numbers enough")
