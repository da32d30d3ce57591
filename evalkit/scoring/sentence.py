"""The sentence that ends a response, and what it says something is."""

from __future__ import annotations

import re
from itertools import pairwise

from evalkit.scoring.tags import MARKUP

_TAIL = 2000
_END = re.compile(r"(?<!approx)(?<!\bca)[.!?](?=[\s*_\"')]|$)[*_\"')]{0,4}|[。！？]|\n")
# Sentences that say nothing about the question.
_COURTESY = re.compile(
    r"(?:I\s{1,3}hope|I['’]m\s{1,3}(?:glad|happy|still)|I\s{1,3}am\s{1,3}(?:glad|happy|still)|Hope\s{1,3}this|Let\s{1,3}me\s{1,3}know|Is\s{1,3}there|Would\s{1,3}you"
    r"|Do\s{1,3}you|Feel\s{1,3}free|If\s{1,3}you|Please|Thank|Sure\b|Can\s{1,3}I)",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"(?:if|suppose|let|given|since|assum(?:e|ing)|when|because|note|for|but|however|although|while)\b", re.IGNORECASE
)
_CONCLUDES = re.compile(
    r"(?:and\s|but\s)?(?:so|thus|therefore|hence|consequently|finally|overall|accordingly|as\s{1,3}a\s{1,3}result"
    r"|in\s{1,3}(?:conclusion|summary|total|short)|this\s{1,3}means|to\s{1,3}conclude)\b",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"(?:n['’]t|\bnot)\s{1,3}(?:think|believe|know|say|mean|sure)\b|\bdoubt|\b(?:unlikely|false|untrue)\s{1,3}(?:that|the|option)\b"
    r"|\b(?:wrong|incorrect|unlikely|false|least\s{1,3}\w{1,20})\s{1,3}(?:answer|option|choice)\b",
    re.IGNORECASE,
)
_COPULA = re.compile(
    r"\b(?P<which>which\s{1,3})?(?:is|are|was|were|equals|(?:would|will|should|must)\s{1,3}be|measures)\b"
)
_OTHER_STATEMENT = re.compile(r"\b(?:is|are|was|were|equals|costs?|weighs|measures)\b[^0-9,.;:]{0,20}[0-9]")
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)")
_CUT = re.compile(r"\s(?:which|because|since|as|when|where|if)\s")
_PAUSE = re.compile(r"[,:;]\s")
# "7 red, 8 blue and 3 green" and "7, or 8" state several things; "7, not 15" and "7, since 10 - 3 = 7" one.
_REASON = re.compile(
    r",\s{1,3}(?:not|rather|instead|because|since|as|which|where|with|given|compared|calculated)\b", re.IGNORECASE
)
_MORE = re.compile(
    r"[,;]\s{1,3}(?:or\b|[^.]{0,200}?(?:[0-9]|\b(?:two|three|four|five|six|seven|eight|nine|ten)\b)"
    r"|[\w-]{1,30}(?:\s[\w-]{1,30})?,?\s{1,3}(?:and|or)\s{1,3}[\w-]{1,30}(?:\s[\w-]{1,30})?\.?$)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r",|\b(?:and|or)\b")


def final_statement(text: str) -> str | None:
    r"""What the final sentence says something is, e.g. `7 days` of "So the difference is 7 days.".

    The response must be one sentence, or its last sentence must open with a word that concludes (so, therefore,
    in total); courtesies (`I hope this helps!`) do not count. The sentence must be complete, no question, no
    supposition or doubt (`If x is 5`, `I don't think …`), and must say only once that something is a thing: two
    statements (`A is 15, and B is 22`; `7 red, 8 blue`; `x = 3, y = 5`) are no answer.
    Without a verb the right side of an equation is the statement.

    Args:
        text: a response without its reasoning; only its last 2,000 characters are read.

    Returns:
        The words behind the verb, up to a comma or colon; None where the response does not end so.
    """
    sentence = _last_sentence(text)
    if sentence is None or _SUPPOSED.match(sentence) or _DOUBT.search(sentence):
        return None
    verbs = list(_COPULA.finditer(sentence))
    if verbs:
        if verbs[-1]["which"] or _OTHER_STATEMENT.search(sentence, 0, verbs[-1].start()):
            return None
        said = sentence[verbs[-1].end() :]
        if pause := _PAUSE.search(said):
            if _MORE.match(said, pause.start()) and not _REASON.match(said, pause.start()):
                return None
            said = said[: pause.start()]
    else:
        equation = _EQUALS.search(sentence)
        if equation is None:
            return None
        said = sentence[equation.end() :]
        second = _EQUALS.search(said)
        if second and _BETWEEN.search(said, 0, second.start()):
            return None
    return _CUT.split(said, maxsplit=1)[0].strip(MARKUP + ".:,;") or None


def _last_sentence(text: str) -> str | None:
    """The last sentence if it is the only one or one that concludes."""
    whole = len(text) <= _TAIL
    text = text[-_TAIL:].rstrip(MARKUP)
    starts = [0, *(end.end() for end in _END.finditer(text))]
    if not text or starts[-1] < len(text):
        # What is left behind the last mark is a sentence that broke off.
        return None
    sentences = [sentence for start, end in pairwise(starts) if (sentence := text[start:end].strip(MARKUP))]
    while sentences and _COURTESY.match(sentences[-1]):
        sentences.pop()
    if not sentences or sentences[-1].endswith(("?", "？")):
        return None
    single = whole and len(sentences) == 1
    return sentences[-1] if single or _CONCLUDES.match(sentences[-1]) else None
