"""From an extracted answer to one option letter, or to none: never to the likeliest."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evalkit.errors import one_line
from evalkit.records import Outcome, Verdict
from evalkit.scoring.extract import CUE, NONE, WHOLE, extract

NO_CHOICE = "no_choice"
"""Reason code: an answer was given, and it is not one of the choices."""

_LONGEST = 10_000
# Full-width ASCII and the ideographic comma, stop and space; NFKC would also turn 5² into 52.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0x3001: 0x2C, 0x3002: 0x2E}
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|boxed)\s{0,3}\{([^{}]*)\}", re.DOTALL)
_MARKUP = re.compile(r"\*\*|__|[$`]|\\[()\[\]]")
_EDGES = " \t\r\n.,;:!()[]{}<>\"'“”‘’*_"
_PREFIX = re.compile(
    r"(?:the\s{1,3})?(?:correct\s{1,3})?(?:option|choice|answer)\s{0,3}:?\s{0,3}(?=\W{0,4}[A-Za-z](?![A-Za-z]))",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"[(\[{<]{0,3}(?P<letter>[A-Za-z])"
    r"(?:(?P<firm>[)\]}>]{1,3}[.:]?|[.:](?![A-Za-z])|\s{1,3}[-–—]\s|[ \t]{0,3}\r?\n)|(?P<loose>[.:]|\s))"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_SECOND_LETTERS = (
    re.compile(r"\W{0,4}(?:or|and)\b\W{0,4}([A-Z])\b|\W{0,4}([A-Z])\b(?!\s(?!or\b|and\b)[a-z])"),
    re.compile(r"(?:[;,/&|\n]|\b(?:or|and)\b)\s{0,3}[(\[]?([A-Z])(?=[)\].:;,/]|$)"),
    re.compile(r"[(\[]([A-Z])[)\]]"),
)


def choose(text: str, choices: Mapping[str, str], *, lower: bool = False) -> str | None:
    r"""Resolve an answer to the letter of one choice.

    Accepted are a letter alone (`B`, `(B)`, `B.`, `**B**`, `$B$`, `\text{B}`, `Option B`, also in
    full-width characters), a letter marked as a label before any text (`B. red`, `B) red`, `B: red`),
    and the exact text of exactly one choice (case-folded, white space collapsed, markup and closing
    punctuation dropped), with or without its letter. A letter alone is always read as a letter, even
    where some choice's text is that letter.

    Not accepted, because the reading would be a guess: two letters (`A or B`, `A, B`), a letter with
    the text of another choice, an unmarked letter before words (`A dog`), a letter that is not offered.

    Args:
        text: the extracted answer.
        choices: upper-case letter to text; letters may skip.
        lower: whether a lower-case letter alone counts, as it does where nothing but the answer can stand.

    Returns:
        The letter, or None, also for a text of more than 10,000 characters. Never raises.
    """
    if len(text) > _LONGEST:
        return None
    clean = _clean(text)
    if prefix := _PREFIX.match(clean):
        clean = clean[prefix.end() :]
    norm = _normal(clean)
    texts = {letter: _normal(_clean(option)) for letter, option in choices.items()}
    same = [letter for letter, option in texts.items() if option and option == norm]
    alone = clean.strip(_EDGES)
    if alone in choices:
        return alone
    if lower and len(alone) == 1 and alone.upper() in choices:
        letter = alone.upper()
        return letter if all(other == letter for other in same) else None
    if len(same) == 1:
        return same[0]
    return _labelled(clean, texts, lower)


def score_choice(response: str, choices: Mapping[str, str], gold: str, scorer: str) -> Outcome:
    """Score a complete response to a multiple-choice question.

    Args:
        response: the complete text of the last turn.
        choices: upper-case letter to text.
        gold: the right letter.
        scorer: rule and version to record, e.g. "wemath/1".

    Returns:
        Correct or incorrect with the letter and the rule that found it; or unparsed, with reason
        "none" (no answer was given) or "no_choice" (the answer given is not one of the choices).
    """
    found = extract(response)
    # "The answer is a" may be prose that broke off; where the answer stands alone "a" can only be the letter.
    letter = None if found.answer is None else choose(found.answer, choices, lower=found.reason != CUE)
    if letter is not None:
        verdict = Verdict.CORRECT if letter == gold else Verdict.INCORRECT
        return Outcome(verdict=verdict, answer=letter, reason=found.reason, scorer=scorer)
    if found.answer is None or found.reason == WHOLE:
        return Outcome(verdict=Verdict.UNPARSED, reason=NONE, scorer=scorer)
    answer = one_line(found.answer[:1000], 200)
    return Outcome(verdict=Verdict.UNPARSED, answer=answer, reason=NO_CHOICE, scorer=scorer)


def _labelled(clean: str, texts: Mapping[str, str], lower: bool) -> str | None:
    label = _LABELLED.match(clean)
    if label is None:
        return None
    letter, rest = label["letter"], label["rest"].strip()
    if lower and letter.upper() in texts and _normal(rest) == texts[letter.upper()]:
        return letter.upper()
    if letter not in texts:
        return None
    if _normal(rest) == texts[letter]:
        return letter
    if label["firm"] is None or _normal(rest) in texts.values():
        return None
    return None if _names_another(rest, letter, texts) else letter


def _names_another(rest: str, letter: str, texts: Mapping[str, str]) -> bool:
    """Whether the text after a label names a second letter, as in `(A) or (B)`."""
    start, listed, bracketed = _SECOND_LETTERS
    first = start.match(rest)
    found = [first[1] or first[2]] if first else []
    found += listed.findall(rest) + bracketed.findall(rest)
    return any(other in texts and other != letter for other in found)


def _clean(text: str) -> str:
    """`text` with ASCII punctuation and without LaTeX and Markdown around its parts."""
    text = text.translate(_WIDE)
    for _ in range(3):
        text = _WRAPPER.sub(r"\1", text)
    return _MARKUP.sub("", text).strip()


def _normal(text: str) -> str:
    """The form in which texts are compared."""
    return " ".join(text.casefold().split()).strip(".,;:!\"'“”‘’ ")
