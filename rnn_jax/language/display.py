"""What one sees while a run trains."""

from __future__ import annotations

import itertools
import sys
from types import TracebackType

from tqdm import tqdm

from rnn_jax.language.measures import bits, perplexity


class Display:
    """A progress bar on a terminal; everywhere else, a line for each validation.

    Args:
        total: updates in all.
        done: updates done before.
        tokens: tokens that an update learns from.
        epoch: updates of an epoch.
        level: `char` or `word`.
        shown: False for a process beside the one that is looked at.
    """

    def __init__(
        self, total: int, done: int, tokens: int, epoch: int, level: str, shown: bool = True
    ) -> None:
        self._tokens = tokens
        self._epoch = epoch
        self._level = level
        self._paused = True
        self._shown = shown
        self._bar = tqdm(
            total=total,
            initial=done,
            unit="update",
            # tqdm's own rate counts updates; what compares with other runs is tokens.
            bar_format="{percentage:3.0f}%|{bar}| {n}/{total} [{remaining} left]{postfix}",
            dynamic_ncols=True,
            disable=None if shown else True,
        )

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def update(self, loss: float, gradient_norm: float) -> None:
        """An update is done."""
        if self._bar.disable:
            return
        if self._paused:
            self._bar.unpause()  # what passed since was compilation or validation
            self._paused = False
        rate = self._bar.format_dict["rate"]
        # The most telling first: what a narrow terminal has no place for is left out.
        numbers = [
            f"perplexity {perplexity(loss):.2f}",
            f"{rate * self._tokens:,.0f} tokens/s" if rate else "starting",
            f"grad {gradient_norm:.2f}",
            f"epoch {self._bar.n / self._epoch:.1f}",
            f"loss {loss:.3f}",
            *([f"bits/char {bits(loss):.2f}"] if self._level == "char" else []),
        ]
        # Written into the bar before it moves, which is what draws it, and rarely.
        self._bar.set_postfix_str(fitting(numbers, self._room()), refresh=False)
        self._bar.update()

    def line(self, text: str) -> None:
        """A line above the bar."""
        if not self._shown:
            return
        if self._bar.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bar.write(text, file=sys.stderr)
        self._paused = True

    def _room(self) -> int:
        """The columns that the terminal has for numbers; any number of them, if it does not say."""
        now = self._bar.format_dict
        # Where tqdm knows no width, it draws a bar of ten columns: as short as it should be.
        others = len(self._bar.format_meter(**now | {"ncols": None, "postfix": None}))
        return now["ncols"] - others if now["ncols"] else 2**16


def fitting(numbers: list[str], room: int) -> str:
    """The first of some numbers, each after a comma, as many as there is room for."""
    widths = itertools.accumulate(len(number) + 2 for number in numbers)
    return ", ".join(n for n, width in zip(numbers, widths, strict=True) if width <= room)
