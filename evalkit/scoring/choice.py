"""From an extracted answer to one option letter, or to none: never to the likeliest."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evalkit.errors import one_line
from evalkit.records import Outcome, Verdict
from evalkit.scoring._text import clean
from evalkit.scoring.equivalence import equivalents, twice_stated
from evalkit.scoring.extract import CUE, NONE, WHOLE, concluded, extract
from evalkit.scoring.formula import read_formula
from evalkit.scoring.number import read_quantity

NO_CHOICE = "no_choice"
"""Reason code: an answer was given, and it is not one of the choices."""

_LONGEST = 10_000
_EDGES = " \t\r\n.,;:!()[]{}<>\"'“”‘’*_"
_PREFIX = re.compile(
    r"(?:the\s{1,3})?(?:correct\s{1,3})?(?:option|choice|answer|letter)\s{0,3}:?\s{0,3}(?=\W{0,4}[A-Za-z](?![A-Za-z]))",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"[(\[{<]{0,3}(?P<letter>[A-Za-z])"
    r"(?:(?P<firm>[)\]}>]{1,3}[.:]?|[.:](?![A-Za-z])|\s{1,3}[-–—]\s|[ \t]{0,3}\r?\n)|(?P<loose>[.:]|\s))"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_BRACKETED = re.compile(r"([A-Za-z])\s{0,2}[(\[](.{1,200})[)\]]\.?", re.DOTALL)
_BEHIND = re.compile(r"(.{1,200}?)\s{0,3}[(\[]([A-Za-z])[)\]]\.?", re.DOTALL)
_LISTED = re.compile(r"([A-Za-z])[,;]\s{0,3}(.{1,200})", re.DOTALL)
_NOT_OTHER = re.compile(
    r"(?<=[^\s,]),?\s{1,3}(?:and\s{1,3})?(?:not|rather\s{1,3}than|instead\s{1,3}of)\s{1,3}(?:option\s{1,3})?[(\[]?[A-Z][)\]]?\.?$"
)
_DENIED = re.compile(
    r"\W{0,3}(?:(?:(?:it|that|this)\s{1,3})?(?:is|was)\s{1,3}(?:not\s{1,3}(?:true|right|correct)|wrong|incorrect|false)"
    r"|(?:is|was)\s{1,3}not|(?:is|was|does|ca)n['’]t|cannot|not|wrong|incorrect|false|never)\b",
    re.IGNORECASE,
)
_HEAD = re.compile(r"[,.;]\s{1,3}(?!(?:or|and)\b)(?=[^\W\d_]{2})")
_OTHER_NONE = re.compile(r"none of (?:the above|these|those|them|the (?:given |above )?(?:options|choices|answers))")
_OWN_LETTER = re.compile(r"\W{0,3}([A-Z])(?![A-Za-z])")
_SECOND_LETTERS = (
    re.compile(r"\W{0,4}(?:or|and)\b\W{0,4}([A-Z])\b|\W{0,4}([A-Z])\b(?!\s(?!or\b|and\b)[a-z])"),
    re.compile(r"(?:[;,/&|\n]|\b(?:or|and)\b)\s{0,3}[(\[]?([A-Z])(?=[)\].:;,/]|$)"),
    re.compile(r"[(\[]([A-Z])[)\]]"),
    re.compile(r"\b(?:so|thus|hence|therefore),?\s{1,3}(?:option\s{1,3})?([A-Z])(?=\W{0,3}$|\s{1,3}is\b)"),
)


def choose(text: str, choices: Mapping[str, str], *, lower: bool = False) -> str | None:
    r"""Resolve an answer to the letter of one choice.

    Accepted are a letter alone (`B`, `(B)`, `B.`, `**B**`, `$B$`, `\text{B}`, `Option B`, also in
    full-width characters), a letter marked as a label before any text (`B. red`, `B) red`, `B: red`),
    a letter with its own text in brackets or behind a comma (`B (red)`, `red (B)`, `B, red`),
    and the text of exactly one choice (case-folded, white space collapsed, markup and closing punctuation dropped),
    with or without its letter, and with an explanation behind a comma or point if that names no other choice
    (`no, there are not`). A letter alone is always read as a letter, even where some choice's text is that letter.

    Where none of these decides, the answer's value does, if exactly one choice has it: `0.5` or `\frac{1}{2}` for
    the choice `1/2`, `97` for `97°`, `12cm` for `12 cm` (see `equivalent`).

    Not accepted, because the reading would be a guess: two letters (`A or B`, `A, B`), a letter with
    the text or the value of another choice, an unmarked letter before words (`A dog`), a letter that is not offered.

    Args:
        text: the extracted answer.
        choices: upper-case letter to text; letters may skip.
        lower: whether a lower-case letter alone counts, as it does where nothing but the answer can stand.

    Returns:
        The letter, or None, also for a text of more than 10,000 characters.

    Raises:
        InfrastructureError: two formulas had to be compared and math-verify is not installed or does not run.
    """
    if len(text) > _LONGEST:
        return None
    answer = clean(text)
    if prefix := _PREFIX.match(answer):
        answer = answer[prefix.end() :]
    if other := _NOT_OTHER.search(answer[-60:]):
        answer = answer[: len(answer) - len(answer[-60:]) + other.start()]
    norm = _normal(answer)
    texts = {letter: _normal(clean(option)) for letter, option in choices.items()}
    same = [letter for letter, option in texts.items() if option and option == norm]
    alone = answer.strip(_EDGES)
    if alone in choices:
        return alone
    if lower and len(alone) == 1 and alone.upper() in choices:
        letter = alone.upper()
        return letter if all(other == letter for other in same) else None
    if len(same) == 1:
        return same[0]
    if same:
        return None
    close = [letter for letter, option in texts.items() if option and _tight(option) == _tight(norm)]
    if len(close) == 1:
        return close[0]
    return _labelled(answer, texts, lower) or _headed(norm, texts) or _by_value(text, choices)


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
    if letter is None and (last := concluded(response, found)) and last.answer is not None:
        letter = choose(last.answer, choices)
        found = found if letter is None else last
    if letter is not None:
        verdict = Verdict.CORRECT if letter == gold else Verdict.INCORRECT
        return Outcome(verdict=verdict, answer=letter, reason=found.reason, scorer=scorer)
    if found.answer is None or found.reason == WHOLE:
        return Outcome(verdict=Verdict.UNPARSED, reason=NONE, scorer=scorer)
    answer = one_line(found.answer[:1000], 200)
    return Outcome(verdict=Verdict.UNPARSED, answer=answer, reason=NO_CHOICE, scorer=scorer)


def _labelled(answer: str, texts: Mapping[str, str], lower: bool) -> str | None:
    if bracketed := _BRACKETED.fullmatch(answer):
        letter = bracketed[1]
        own = letter in texts and (_normal(bracketed[2]) == texts[letter] or _same_number(bracketed[2], texts[letter]))
        return letter if own else None
    if behind := _BEHIND.fullmatch(answer) or _LISTED.fullmatch(answer):
        stated, letter = (behind[1], behind[2]) if behind.re is _BEHIND else (behind[2], behind[1])
        if letter in texts and _normal(stated) == texts[letter]:
            return letter
    label = _LABELLED.match(answer)
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
    if _denies(_normal(rest), texts[letter]):
        return None
    others = [option for other, option in texts.items() if other != letter]
    if not _same_number(rest, texts[letter]) and any(_same_number(rest, option) for option in others):
        return None
    return None if _names_another(rest, letter, texts) else letter


def _denies(rest: str, own: str) -> bool:
    """Whether the text after a label takes the label back, as in `B. is wrong` or `B. it is not red`."""
    if not own:
        return _DENIED.match(rest) is not None
    if re.search(rf"(?:\bnot|n['’]t)\s{re.escape(own)}(?!\w)", rest):
        return True
    return not rest.startswith(own) and _DENIED.match(rest) is not None


def _names_another(rest: str, letter: str, texts: Mapping[str, str]) -> bool:
    """Whether the text after a label names a second letter, as in `(A) or (B)`."""
    start, listed, bracketed, concluded = _SECOND_LETTERS
    first = start.match(rest)
    found = [first[1] or first[2]] if first else []
    found += listed.findall(rest) + bracketed.findall(rest) + concluded.findall(rest)
    return any(other in texts and other != letter for other in found)


def _same_number(first: str, second: str) -> bool:
    a, b = read_quantity(first), read_quantity(second)
    return a is not None and b is not None and a.value == b.value


def _headed(norm: str, texts: Mapping[str, str]) -> str | None:
    """The choice whose text stands before a comma or point, if what follows names no other."""
    head = _HEAD.search(norm)
    if head is None:
        return None
    found = [letter for letter, option in texts.items() if option and option == norm[: head.start()]]
    if len(found) != 1:
        return None
    rest = f" {re.sub(r'[^0-9a-z]{1,20}', ' ', norm[head.end() :])} "
    named = (
        f" {re.sub(r'[^0-9a-z]{1,20}', ' ', option).strip()} "
        for letter, option in texts.items()
        if letter not in found
    )
    return None if any(other.strip() and other in rest for other in named) else found[0]


def _by_value(text: str, choices: Mapping[str, str]) -> str | None:
    """The one choice that has the answer's value."""
    if read_quantity(text) is None and read_formula(text) is None and twice_stated(text) is None:
        return None
    same = [
        letter
        for letter, equal in zip(choices, equivalents(text, list(choices.values())), strict=True)
        if equal is True
    ]
    own = _OWN_LETTER.match(text)
    behind = _BEHIND.fullmatch(clean(text))
    named = {own[1] if own else "", behind[2] if behind else ""}
    if len(same) != 1 or any(letter in choices and letter != same[0] for letter in named):
        return None
    return same[0]


def _tight(text: str) -> str:
    return "".join(text.split())


def _normal(text: str) -> str:
    """The form in which texts are compared."""
    text = " ".join(text.casefold().split()).strip(".,;:!\"'“”‘’ ")
    return "none of these" if _OTHER_NONE.fullmatch(text) else text
