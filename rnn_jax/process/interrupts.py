"""Ctrl-C while a program starts and while it ends, where an exception does harm.

While it begins, Python shows the import that was interrupted, or crashes if that was in the middle
of native code. When it ends, Python tears down what threads of XLA are still working with.
"""

import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130  # 128 + SIGINT


def leave(*_: object) -> NoReturn:
    """End the process now, and say why. Nothing has been begun that would have to be ended."""
    os.write(2, b"error: interrupted\n")
    os._exit(INTERRUPTED)


def leave_while_starting() -> None:
    """Until `started`, ctrl-C ends `python -m rnn_jax` in a line; any other program is left alone.

    Python imports the package before its `__main__`, and with it JAX, which takes most of a second.
    """
    # While Python looks for the module that `-m` names, that stands in place of its path.
    ours = sys.argv[:1] == ["-m"] and "rnn_jax" in sys.orig_argv
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)


def started() -> None:
    """From here on ctrl-C raises KeyboardInterrupt, as in every program."""
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end(code: int) -> NoReturn:
    """End the process with an exit code; after ctrl-C at once, whatever still runs in XLA.

    And at once after an error of one of several processes, who would wait for the others.
    """
    jax = sys.modules.get("jax")  # which may not have been asked for yet
    several = jax is not None and jax.distributed.is_initialized()
    if code == INTERRUPTED or (code and several):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
