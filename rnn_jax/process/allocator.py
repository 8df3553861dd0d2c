"""How the C library treats memory that a compiled program has freed."""

import ctypes

# From malloc.h. They are the same wherever glibc is.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_LARGEST = 2**31 - 1


def keep_memory() -> bool:
    """Keep the memory of a program's temporaries for its next call: on a CPU, faster updates.

    On a CPU, XLA allocates what a compiled program needs beside its arguments and results at every
    call, and frees it after. What is larger than 32 MiB glibc hands back to the system at once,
    so that at the next call the system finds, clears and maps each page of it anew. This tells
    glibc to keep it. Call it before anything runs, for a thread that has begun has its own heap:

        rnn.keep_memory()

    A thread that has ended may leave its heap to a later one, which then still asks the system
    for what is larger than 64 MiB. All of it holds for the whole process, which stays as large as
    it was at its largest. `python -m rnn_jax` does so. Cost: none. Source: `mallopt(3)`.

    Returns:
      Whether it was done: False where the C library is not glibc, such as on macOS and Windows.

    >>> import rnn_jax as rnn
    >>> rnn.keep_memory() in (True, False)
    True
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # No memory of its own for a large block; none goes back; and one heap, for those of further
    # threads are small, and what does not fit gets memory of its own all the same.
    wanted = (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST), (_ARENA_MAX, 1)
    return all([mallopt(option, value) == 1 for option, value in wanted])
