"""Ctrl-C where an exception does harm or is lost: at the start, in a callback, at the end.

While it begins, Python shows the import that was interrupted, or crashes if that was in the middle
of native code. A callback of the garbage collector, as JAX has them, loses what is raised in it.
When the program ends, Python tears down what threads of XLA are still working with.
"""

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130  # 128 + SIGINT
SOON = 0.01
"""Seconds after which a lost ctrl-C is raised again: time enough for a callback to return."""


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
        sys.unraisablehook = raise_again


def raise_again(lost: "UnraisableHookArgs") -> None:
    """Raise a lost KeyboardInterrupt once more; of another exception say what Python says."""
    if lost.exc_type is KeyboardInterrupt:
        # To the thread itself, as from the keyboard: that also wakes it where it waits.
        main = threading.main_thread().ident
        again = threading.Timer(SOON, signal.pthread_kill, (main, signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


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
