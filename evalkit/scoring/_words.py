"""Words beside and instead of figures: number words, scale words, and words that are no unit."""

from __future__ import annotations

_UP_TO_TWENTY = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty"""
_TENS = """thirty forty fifty sixty seventy eighty ninety"""

NUMBERS = {word: value for value, word in enumerate(_UP_TO_TWENTY.split())}
"""Number words that are one word, up to ninety."""
NUMBERS |= {word: 10 * value for value, word in enumerate(_TENS.split(), 3)}

SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
"""Words behind a number that multiply it."""

_CHANGES = """or to and of than pi sqrt root times over plus minus divided by half halves third thirds fourth fourths
fifth fifths quarter quarters tenth tenths squared cubed through out vs versus from not if but at least most x y z
am pm a.m. p.m. st nd rd th e i sin cos tan log ln frac up under between
january february march april may june july august september october november december"""

NO_UNIT = frozenset(_CHANGES.split()) | NUMBERS.keys()
"""Words behind a number that make something else of it: `3 or`, `5 March`, `2 pi`."""
