"""A last sentence where native code ends the process."""

import ctypes
import os
import signal

_said: list[object] = []
"""What the C library was told to call, which Python must not forget."""


def say_when_aborted(sentence: str, code: int = 1) -> None:
    """Where native code calls `abort`, end with a sentence on stderr and an exit code instead.

    JAX's client of other processes does so, from a thread of its own, when one of them is lost
    while Python waits in a compiled program: a handler of Python's `signal` would never run.
    """
    content = sentence.encode() + b"\n"

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def handler(_: int) -> None:
        os.write(2, content)
        os._exit(code)

    try:
        ctypes.CDLL(None).signal(signal.SIGABRT, handler)
    except (AttributeError, OSError, TypeError):  # no C library by this name, as on Windows
        return
    _said.append(handler)
