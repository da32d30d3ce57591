r"""Whether a recorded text is what code really prints, where two honest executions need not agree to the letter.

The rules, in order:

1. White space counts as one space; leading, trailing and empty lines do not count.
2. An address in memory (`<object at 0x7f…>`) equals any other.
3. Where the code reads a clock, a time of day, a date, and a number with a unit of time equal any other.
4. Whole numbers must be equal. Numbers with a fraction may differ by 1e-6 of their size: sums round otherwise on
   another machine.
5. Where two real executions differ from each other (random numbers, names of temporary files), a word with a digit
   in it equals any other, and a word without one must be among those that the executions gave.
6. Where they give the same words in another order (sets), any order will do.
7. Everything else must be equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

RELATIVE = 1e-6
"""By which part of its size a number with a fraction may differ."""
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{1,16}\b")
_CLOCK = re.compile(r"\b(?:time|timeit|datetime|perf_counter|monotonic|process_time|Timestamp)\b|%%?time")
_TIMES = re.compile(
    r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?\b"
    r"|\b\d{1,2}:\d\d(?::\d\d(?:\.\d{1,9})?)?\b"
    r"|(?<![\w.])\d{1,18}(?:\.\d{0,18})?(?:e-?\d{1,3})? ?(?:ns|us|µs|μs|ms|s|secs?|seconds?|min|minutes?)\b"
)
_TOKEN = re.compile(r"(?<!\w)-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w)|\w+|[^\w\s]")
_DIGIT = re.compile(r"\d")


def reads_clock(code: str) -> bool:
    """Whether code names something that tells the time."""
    return _CLOCK.search(code) is not None


def same_text(recorded: str, real: Sequence[str], *, clock: bool = False) -> bool:
    """Whether a recorded text is that of real executions.

    Args:
        recorded: as the model was shown it.
        real: of one execution, or of several; at least one.
        clock: the code reads a clock.
    """
    want = _tokens(recorded, clock)
    runs = [_tokens(text, clock) for text in real]
    if any(len(want) == len(run) and all(map(_equal, want, run)) for run in runs):
        return True
    if len(runs) < 2 or any(len(run) != len(want) for run in runs):
        return False
    if runs[0] != runs[1] and sorted(runs[0]) == sorted(runs[1]) == sorted(want):
        return True
    return all(_among(token, seen) for token, *seen in zip(want, *runs, strict=True))


def _tokens(text: str, clock: bool) -> list[str]:
    text = _ADDRESS.sub("at 0x0", text)
    if clock:
        text = _TIMES.sub("\x00", text)
    return _TOKEN.findall(text)


def _equal(a: str, b: str) -> bool:
    if a == b:
        return True
    if not (_fraction(a) or _fraction(b)):
        return False
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    return abs(x - y) <= RELATIVE * max(abs(x), abs(y))


def _fraction(token: str) -> bool:
    return token[-1].isdigit() and any(mark in token for mark in ".eE")


def _among(token: str, seen: Sequence[str]) -> bool:
    """Whether a token can stand where the executions have these."""
    if all(_equal(seen[0], other) for other in seen):
        return _equal(token, seen[0])
    if all(_DIGIT.search(other) for other in seen):
        return _DIGIT.search(token) is not None
    return token in seen
