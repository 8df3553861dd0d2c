"""The command line: `python -m rnn_jax train | sample | evaluate | embed | spectrum | share`."""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from rnn_jax.errors import RNNError
from rnn_jax.language.config import RESUMABLE, Config, Setting, option, read_settings, settings
from rnn_jax.language.errors import InputError, Interrupted, RunError
from rnn_jax.language.workers import Workers
from rnn_jax.process.allocator import keep_memory
from rnn_jax.process.interrupts import INTERRUPTED, end, started

# The exit code of each error, the particular before the general.
EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (Interrupted, INTERRUPTED),
    (RunError, 1),
    (RNNError, 2),
    (OSError, 1),
)
SPLITS = ("train", "validation", "test")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The commands and their options; those of `train` are the fields of `Config`."""
    root = _Parser(prog="python -m rnn_jax", description="A recurrent language model of a text.")
    commands = root.add_subparsers(dest="command", required=True, metavar="command")

    train = commands.add_parser("train", help="learn a text")
    train.set_defaults(handle=_train)
    train.add_argument(
        "--run", metavar="DIR", help="folder of the new run (default: a new one in runs/)"
    )
    train.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with a run, by its own settings; with --epochs or --steps make it longer or "
        "shorter, with --text or --data say where its text lies now",
    )
    train.add_argument(
        "--from-step", type=int, metavar="N", help="with --resume: the checkpoint to go on from"
    )
    train.add_argument(
        "--config", metavar="FILE", help="settings in JSON, as in config.json; options come first"
    )
    for name, rule in settings().items():
        _add_setting(train, name, rule)
    _add_workers(train)

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
        "--top-k", type=int, metavar="K", help="draw from the K likeliest tokens alone"
    )
    sample.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="from the likeliest, as few as have a probability of P together",
    )
    sample.add_argument(
        "--min-p",
        type=float,
        metavar="P",
        help="from those that are at least P times as likely as the likeliest; these three are "
        "applied in this order, after the temperature",
    )
    sample.add_argument(
        "--samples", type=int, default=1, metavar="N", help="how many texts to write (default: 1)"
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
    evaluate.add_argument(
        "--cache",
        type=int,
        metavar="N",
        help="as well let it look up what followed those of its last N states that were like the "
        "present one",
    )

    embed = commands.add_parser(
        "embed", help="the vectors that one run or two have of each token of a text"
    )
    embed.set_defaults(handle=_embed)
    embed.add_argument(
        "run",
        metavar="RUN",
        nargs="+",
        help="folder of a run, or of two, of which one was trained with --backward",
    )
    embed.add_argument("--text", required=True, metavar="FILE", help="UTF-8 text to read")
    embed.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="file to write, an npz of NumPy: an array a layer, a row a token",
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
    share = commands.add_parser(
        "share", help="write a run's model into a folder that rnn_jax.load reads, for others"
    )
    share.set_defaults(handle=_share)
    share.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder to write: config, arrays and card"
    )
    for command in (evaluate, spectrum):
        for name in ("text", "data"):
            command.add_argument(
                option(name), metavar="PATH", help="where the text lies now, if it was moved"
            )
    for command in (sample, evaluate, spectrum, share):
        command.add_argument("run", metavar="RUN", help="folder of the run")
        command.add_argument(
            "--step", type=int, metavar="N", help="checkpoint (default: the best on validation)"
        )
    return root


def _add_workers(train: argparse.ArgumentParser) -> None:
    """Options that are no settings of the run: with others it is the same run."""
    workers = train.add_argument_group(
        "devices and processes", "how many work on the run; a checkpoint of some goes on on others"
    )
    workers.add_argument(
        "--devices", type=int, metavar="N", help="split the streams of a batch over N devices"
    )
    workers.add_argument(
        "--mesh",
        dest="parts",
        metavar="data=N,model=M",
        help="split the streams over N devices, and the units of the layers over M: N x M in all",
    )
    workers.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="start one of several processes: where the first one can be reached; auto: as SLURM, "
        "MPI, Kubernetes or a TPU pod say",
    )
    workers.add_argument("--processes", type=int, metavar="N", help="how many processes there are")
    workers.add_argument(
        "--process-id", type=int, metavar="N", help="which of them this is, from 0"
    )


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
    _open_closed_streams()
    try:
        arguments = parser().parse_args(words)
        arguments.handle(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # `sample | head` has read enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (RNNError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    return 0


def _open_closed_streams() -> None:
    """Let what a closed stdout or stderr is told go nowhere, instead of into the next file."""
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(free, True)
    os.close(free)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 -- for good


def _commands() -> ModuleType:
    """What the commands do: imported when it is needed, for with it comes all that is heavy."""
    from rnn_jax.language import commands

    started()
    return commands


def _train(arguments: argparse.Namespace) -> None:
    given = _given(arguments, settings())
    names = [field.name for field in dataclasses.fields(Workers)]
    workers = Workers(**{name: getattr(arguments, name) for name in names})
    if arguments.resume is not None:
        extra = [option(name) for name in given if name not in RESUMABLE]
        extra += [option(name) for name in _given(arguments, ("run", "config"))]
        if extra:
            raise InputError(
                "--resume goes on with the run's own settings, but for "
                f"{', '.join(map(option, RESUMABLE))}; leave out {', '.join(extra)}"
            )
        return _commands().resume_run(arguments.resume, arguments.from_step, given, workers)
    if arguments.from_step is not None:
        raise InputError("--from-step goes with --resume")
    if arguments.config is not None:
        given = _absolute(read_settings(Path(arguments.config))) | given
    config = Config(**given)
    return _commands().start_run(config, arguments.run, workers)


def _given(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The options among `names` that are there."""
    values = {name: getattr(arguments, name) for name in names}
    return _absolute({name: value for name, value in values.items() if value is not None})


def _absolute(values: dict[str, Any]) -> dict[str, Any]:
    """The places of files, from the root: a run may be resumed from another folder."""
    names = ("text", "data", "vectors")
    places = {name: values[name] for name in names if isinstance(values.get(name), str)}
    return values | {name: os.path.abspath(place) for name, place in places.items()}


def _sample(arguments: argparse.Namespace) -> None:
    choice = ("temperature", "top_k", "top_p", "min_p")
    _commands().sample_run(
        arguments.run,
        arguments.step,
        arguments.prompt,
        arguments.length,
        arguments.seed,
        arguments.samples,
        {name: getattr(arguments, name) for name in choice},
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.split not in SPLITS:
        raise InputError(
            f"--split: unknown {arguments.split!r}; the known ones are {', '.join(SPLITS)}"
        )
    moved = _given(arguments, ("text", "data"))
    _commands().evaluate_run(
        arguments.run, arguments.split, arguments.step, arguments.adapt, arguments.cache, moved
    )


def _embed(arguments: argparse.Namespace) -> None:
    _commands().embed_runs(arguments.run, arguments.text, arguments.out)


def _spectrum(arguments: argparse.Namespace) -> None:
    moved = _given(arguments, ("text", "data"))
    _commands().spectrum_run(
        arguments.run, arguments.step, arguments.batch, arguments.length, moved
    )


def _share(arguments: argparse.Namespace) -> None:
    _commands().share_run(arguments.run, arguments.out, arguments.step)


if __name__ == "__main__":
    # The process is ours: an update need not map its temporaries anew, and a character that the
    # terminal's encoding lacks is written as its number, where Python would end in an error.
    keep_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    end(main())
