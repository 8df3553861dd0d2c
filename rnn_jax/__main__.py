"""The command line: `python -m rnn_jax train | sample | evaluate | spectrum`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rnn_jax.allocator import keep_memory
from rnn_jax.errors import RNNError
from rnn_jax.language.config import Config, Setting, option, read_settings, settings
from rnn_jax.language.errors import InputError, Interrupted, RunError

# The exit code of each error, the particular before the general. 128 + SIGINT for ctrl-C.
EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (Interrupted, 130),
    (RunError, 1),
    (RNNError, 2),
    (OSError, 1),
)
SPLITS = ("train", "validation", "test")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The four commands and their options; those of `train` are the fields of `Config`."""
    root = _Parser(prog="python -m rnn_jax", description="A recurrent language model of a text.")
    commands = root.add_subparsers(dest="command", required=True, metavar="command")

    train = commands.add_parser("train", help="learn a text")
    train.set_defaults(handle=_train)
    train.add_argument(
        "--run", metavar="DIR", help="folder of the new run (default: a new one in runs/)"
    )
    train.add_argument("--resume", metavar="RUN", help="go on with a run, by its own settings")
    train.add_argument(
        "--from-step", type=int, metavar="N", help="with --resume: the checkpoint to go on from"
    )
    train.add_argument(
        "--config", metavar="FILE", help="settings in JSON, as in config.json; options come first"
    )
    for name, rule in settings().items():
        _add_setting(train, name, rule)

    sample = commands.add_parser("sample", help="let a run's model write")
    sample.set_defaults(handle=_sample)
    sample.add_argument("--prompt", default="", help="how the text begins (default: a new line)")
    sample.add_argument("--length", type=int, default=500, help="tokens to draw (default: 500)")
    sample.add_argument(
        "--temperature",
        type=float,
        default=0.7,
        help="1 is the model as it is, less is safer, 0 the likeliest (default: 0.7)",
    )
    sample.add_argument(
        "--seed", type=int, default=0, help="another seed, another text (default: 0)"
    )

    evaluate = commands.add_parser("evaluate", help="perplexity of a run's model")
    evaluate.set_defaults(handle=_evaluate)
    evaluate.add_argument(
        "--split", default="validation", metavar="|".join(SPLITS), help="(default: validation)"
    )
    evaluate.add_argument(
        "--adapt",
        type=float,
        metavar="RATE",
        help="as well let it learn from each window after it is predicted, by SGD of this rate, "
        "clipped as in training",
    )

    spectrum = commands.add_parser(
        "spectrum", help="how gradients travel through time in a run's model"
    )
    spectrum.set_defaults(handle=_spectrum)
    spectrum.add_argument(
        "--batch", type=int, default=4, help="pieces of the validation text to read (default: 4)"
    )
    spectrum.add_argument(
        "--length", type=int, default=128, help="tokens of a piece, the largest lag (default: 128)"
    )
    for command in (sample, evaluate, spectrum):
        command.add_argument("run", metavar="RUN", help="folder of the run")
        command.add_argument(
            "--step", type=int, metavar="N", help="checkpoint (default: the best on validation)"
        )
    return root


def _add_setting(command: argparse.ArgumentParser, name: str, rule: Setting) -> None:
    if rule.kind is bool:
        command.add_argument(option(name), action=argparse.BooleanOptionalAction, help=rule.help)
        return
    default = Config.__dataclass_fields__[name].default
    command.add_argument(
        option(name),
        type=rule.kind,
        metavar="|".join(rule.choices) or rule.kind.__name__.upper(),
        help=rule.help + ("" if default is None else f" (default: {default})"),
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. A mistake of the user is one line on stderr."""
    try:
        arguments = parser().parse_args(words)
        arguments.handle(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # `sample | head` has read enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except (RNNError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    return 0


def _train(arguments: argparse.Namespace) -> None:
    given = {name: value for name in settings() if (value := getattr(arguments, name)) is not None}
    if arguments.resume is not None:
        words = ("run", "config")
        extra = [option(name) for name in (*given, *words) if getattr(arguments, name) is not None]
        if extra:
            raise InputError(
                f"--resume goes on with the run's own settings; leave out {', '.join(extra)}"
            )
        from rnn_jax.language.commands import resume_run

        return resume_run(arguments.resume, arguments.from_step)
    if arguments.from_step is not None:
        raise InputError("--from-step goes with --resume")
    if arguments.config is not None:
        given = _read_config(arguments.config) | given
    for name in ("text", "data"):  # a run may be resumed from another folder
        if isinstance(given.get(name), str):
            given[name] = os.path.abspath(given[name])
    config = Config(**given)
    from rnn_jax.language.commands import start_run

    return start_run(config, arguments.run)


def _read_config(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            return read_settings(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read --config {path}: {error}") from error


def _sample(arguments: argparse.Namespace) -> None:
    from rnn_jax.language.commands import sample_run

    sample_run(
        arguments.run,
        arguments.prompt,
        arguments.length,
        arguments.temperature,
        arguments.seed,
        arguments.step,
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.split not in SPLITS:
        raise InputError(
            f"--split: unknown {arguments.split!r}; the known ones are {', '.join(SPLITS)}"
        )
    from rnn_jax.language.commands import evaluate_run

    evaluate_run(arguments.run, arguments.split, arguments.step, arguments.adapt)


def _spectrum(arguments: argparse.Namespace) -> None:
    from rnn_jax.language.commands import spectrum_run

    spectrum_run(arguments.run, arguments.step, arguments.batch, arguments.length)


if __name__ == "__main__":
    # The process is ours: an update need not map its temporaries anew, and a character that the
    # terminal's encoding lacks is written as its number, where Python would end in an error.
    keep_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
