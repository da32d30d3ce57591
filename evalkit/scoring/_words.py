"""Words beside and instead of figures: number words, scale words, and words that are no unit."""

from __future__ import annotations

_UP_TO_TWENTY = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty"""
_TENS = """thirty forty fifty sixty seventy eighty ninety"""

NUMBERS = {word: value for value, word in enumerate(_UP_TO_TWENTY.split())}
"""Number words that are one word, up to ninety."""
NUMBERS |= {word: 10 * value for value, word in enumerate(_TENS.split(), 3)}

SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
SCALES |= {word + "s": scale for word, scale in SCALES.items()}
"""Words behind a number that multiply it."""

_CHANGES = """or to and of than pi sqrt root times over plus minus divided by half halves third thirds fourth fourths
fifth fifths quarter quarters sixth sixths seventh sevenths eighth eighths ninth ninths tenth tenths hundredth
hundredths thousandth thousandths millionth millionths factorial is are was were wrong incorrect false maybe perhaps
possibly probably no squared cubed through out vs versus from not if but at least most x y z
am pm a.m. p.m. st nd rd th e i sin cos tan log ln frac up under between
january february march april may june july august september october november december"""

_DOUBTS = """or not no at wrong incorrect false maybe perhaps possibly probably pi squared cubed factorial half halves
third thirds fourth fourths fifth fifths quarter quarters eighth eighths tenth tenths hundredth hundredths"""

NO_UNIT = frozenset(_CHANGES.split()) | NUMBERS.keys()
"""Words behind a number that make something else of it: `3 or`, `5 March`, `2 pi`."""

NO_REMARK = frozenset(_DOUBTS.split()) | SCALES.keys()
"""Words that open no mere remark in brackets: `12 (million)`, `7 (or more)`."""
