"""Read a compiled program: which matmuls run, how often, and how much memory it takes."""

import re
from collections import Counter

import jax

from tests.compilation import AS_USERS_HAVE_IT

_COMPUTATION = re.compile(r"^(?:ENTRY )?%([\w.\-]+) \(.*\{$", re.MULTILINE)
_DOT = re.compile(r"= \w+\[([\d,]*)\]\S* dot\(")
_CALLED = re.compile(r"(?:calls|to_apply|body|called_computations)=\{?%([\w.\-]+)")
_BODY = re.compile(r"body=%([\w.\-]+)")
# The shape of a result is one word, or a tuple in parentheses.
_OPERATION = re.compile(r"^ +(?:ROOT )?%\S+ = (?:\((?:[^()]|\([^()]*\))*\)|\S+) ([\w\-]+)\(")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


def compiled(f, *args):
    """The program of `f` for arguments like these, as users have it."""
    return jax.jit(f).lower(*args).compile(AS_USERS_HAVE_IT)


def matmuls(program):
    """How often a matmul with a result of each shape runs: `{(H, 4H): 4, ...}`.

    A matmul in a loop counts once an iteration, for loops in loops likewise.
    """
    counts = Counter()
    for line, times in _lines(program):
        if dot := _DOT.search(line):
            counts[tuple(map(int, dot[1].split(",")))] += times
    return counts


def iterations(program):
    """How many steps all loops take one after the other, those in loops as often as they run."""
    return sum(times * _trips(line) for line, times in _lines(program) if " while(" in line)


# What a GPU is told nothing of: a name for what is there, or for what is told line by line.
_NO_LAUNCH = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while"),
    *("after-all", "partition-id", "optimization-barrier", "copy-done"),
}


def launches(program):
    """How many kernels, library calls and copies a GPU is told to run, in loops as often as there.

    Those in a graph that was captured count, for each is started, if not by the host.
    """
    lines = ((line, times) for line, times in _lines(program, _BODY) if line.startswith("  "))
    found = ((_OPERATION.match(line)[1], times) for line, times in lines)
    return sum(times for operation, times in found if operation not in _NO_LAUNCH)


def _lines(program, called=_CALLED):
    """Every line of the program and of what it calls, and how often it runs."""
    text = program.as_text()
    starts = list(_COMPUTATION.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    bodies = {match[1]: text[match.start() : end] for match, end in zip(starts, ends, strict=True)}

    def visit(computation, times):
        for line in bodies[computation].splitlines()[1:]:
            yield line, times
            trips = _trips(line) if " while(" in line else 1
            for name in called.findall(line):
                yield from visit(name, times * trips)

    yield from visit(re.search(r"^ENTRY %([\w.\-]+)", text, re.MULTILINE)[1], 1)


def _trips(line):
    return int(_TRIPS.search(line)[1])


def temporaries(program):
    """Bytes that the program needs beside its arguments and results."""
    return program.memory_analysis().temp_size_in_bytes
