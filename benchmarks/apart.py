"""A step that runs in a process of its own."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.competitors.absent import Absent

Build = Callable[..., Callable[[], object]]


class Apart:
    """`build(*arguments)` in a process of its own, which sleeps but for its turns.

    For what is set for a whole process, such as what becomes of its memory, and so cannot differ
    between competitors that share one. Calling it takes 0.1 ms more than the step.

    Raises:
        Absent: `build` raised it.
    """

    def __init__(self, build: Build, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, build, arguments), daemon=True)
        self.process.start()
        theirs.close()  # so that a process that dies is an EOFError here, not silence
        reason = self.pipe.recv()
        if reason is not None:
            raise Absent(reason)

    def __call__(self) -> None:
        """Run one step and wait for its end."""
        self.pipe.send(None)
        self.pipe.recv()

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join()


def _serve(pipe: Connection, build: Build, arguments: tuple[Any, ...]) -> None:
    try:
        step = build(*arguments)
    except Absent as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        step()
        pipe.send(None)
