"""Words that announce an answer: `Answer: …`, `the correct option is …`, `答案是…`."""

from __future__ import annotations

import re

from evalkit.scoring.tags import MARKUP

# Nouns and verbs are listed; what lies between is bounded, so that a text takes linear time.
_NOUN = (
    r"\b(?:answer|(?:final|correct|right|best)\s{1,3}(?:option|choice|letter)|option\s{1,3}letter)"
    r"(?:\s{1,3}(?:option|choice|letter))?(?:\s{1,3}letter)?"
    r"(?:\s{1,3}(?:to|for)\s{1,3}(?:the|this|your)\s{1,3}(?:question|problem))?"
)
_VERB = r"(?:is|(?:would|should|must|will|(?:appears|seems)\s{1,3}to)\s{1,3}be)\b"
_ADVERB = r"(?:\s{0,3}(?:therefore|thus|hence|then|clearly|indeed|actually|simply|definitely|most\s{1,3}likely)\b,?)?"
# "The answer is found by …" announces no answer.
_NO_ANSWER = (
    r"(?!\s{1,3}(?:obtained|found|based|given\s{1,3}by|derived|determined|calculated|as\s{1,3}follows|provided"
    r"|supported|correct\b|incorrect\b|wrong\b|clear\b|known|in\s{1,3}the\b|because\b)\b)"
)
_CUE = re.compile(
    rf"{_NOUN}[*_`>\"']{{0,4}}(?:\s{{0,3}}[:：]|\s{{1,3}}(?P<verb>{_VERB})(?:\s{{0,3}}[:：])?{_NO_ANSWER}){_ADVERB}"
    r"|\bI(?:['’]d|\s{1,3}would|\s{1,3}will|['’]ll)?\s{1,3}(?P<choose>choose|pick|select|go\s{1,3}with)\b"
    r"(?=\W{0,6}(?:(?:option|choice|answer)\W{1,6})?[A-Za-z]\b)"
    # Other languages. 选 counts before a letter only.
    r"|(?P<han>(?:正确(?:答案|选项)|答案|答え|정답)(?:是|为|為|は|은|는|选|選)?\s{0,3}[:：]?(?:应?[该為为是]{0,2})"
    r"|(?:故|应|應|因此|所以)?(?<!不)[选選][择擇]?[项項]?\s{0,3}[:：]?\s{0,3}(?=[(（]?[A-HＡ-Ｈ](?![A-Za-z])))"
    r"|\b(?:respuesta|réponse|antwort|risposta|resposta|ответ|cevap|jawaban)"
    r"(?:\s{1,3}(?:correcta|correcte|corretta|correta))?"
    r"[*_`]{0,4}(?:\s{0,3}[:：]|\s{1,3}(?P<verb2>es|est|ist|lautet|è|é)\b(?:\s{0,3}[:：])?|\s{1,3}[—–-])"
    # A heading.
    r"|^[ \t]{0,3}(?:#{1,6}[ \t]{1,3})?[*_]{0,3}(?:(?:the|my)\s)?(?:(?:final|correct)[ \t]{1,3})?"
    r"(?P<heading>answer)[*_]{0,3}[ \t\r]{0,3}$(?=\n)",
    re.IGNORECASE | re.MULTILINE,
)
_DENIED = re.compile(
    r"(?:(?:n['’]t|\bnot)\s{1,3}(?:think|believe|say|sure|certain|true|clear|likely)"
    r"|\b(?:if|whether|unless|suppose|why|doubt|unlikely|false|untrue|impossible|not|neither|nor|either))"
    r"(?:\s{1,3}(?:that|if|whether))?\s{1,3}(?:(?:the|an?)\s{1,3})?(?:(?:correct|right|final)\s{1,3})?$"
    # The wrong answer is an answer that is not given.
    r"|\b(?:wrong|incorrect|common|unlikely|other|false|least\s{1,3}\w{1,20})\s{1,3}$",
    re.IGNORECASE,
)
# "Option B or option C is correct" names none; "A is wrong and option C is correct" does.
_ONE_OF = re.compile(r"\bor\s{1,3}$|(?:\b[A-H]|[)\]])[*_`)\].]{0,4}\s{1,3}and\s{1,3}$")
_REVERSED = re.compile(
    r"(?:\b(?i:option|choice|answer|letter|(?:so|thus|hence|therefore),?)\s{1,3}[*_`(\[]{0,4}|[(\[]|(?:^|[.:;]\s)[*_`]{0,2})"
    r"(?P<letter>[A-H])(?![A-Za-z])"
    r"(?:[)\].:]{1,2}[^.!?\n()]{0,60})?[*_`)\]]{0,4}\s{1,3}is\s{1,3}(?:therefore\s{1,3})?"
    r"(?:(?:the\s{1,3})?correct\b|the\s{1,3}(?:right|best)\s{1,3}(?:answer|option|choice)\b|the\s{1,3}answer\b)",
    re.MULTILINE,
)
_CLAUSE = re.compile(r"\s(?:because|since)\b|[，,]\s{0,2}(?:因为|because|since)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<![Aa]pprox)(?<!\bca)[.!?](?=\s|$)|[。！？]")
# On a line of its own an answer may be the only point of a list; "- 5" is left, since it may be a number.
_POINT = re.compile(r"\s{0,9}\n\s{0,9}(?:[-+•]\s{1,3}(?![0-9.])|1[.)]\s{1,3})")
_HEADED = 80
# A cue before a list of several points announces an explanation.
_POINTS = re.compile(r"\s{0,3}\n\s{0,6}(?:[*•-]|[0-9]{1,2}[.)])\s[^\n]{0,300}\n\s{0,6}(?:[*•-]|[0-9]{1,2}[.)])\s")
_WINDOW = 200_000
_ECHO = re.compile(r"^[ \t]{0,3}[*_#]{0,4}(?:Question|Hint|Choices)[*_]{0,2}:", re.IGNORECASE | re.MULTILINE)


def last_cue(text: str) -> str | None:
    """What the last cue announces, up to the end of its line, sentence or clause.

    `Option C is correct` announces C. A model that goes on to write itself the next question (a line that starts
    with `Question:` or `Hint:`) has answered before that line: once a cue has come, nothing behind such a line counts.

    Args:
        text: a response without its reasoning; of a longer one only the last 200,000 characters are read.

    Returns:
        The words after the cue; None where there is no cue, or nothing behind it.
    """
    text = text[-_WINDOW:]
    end = len(text.rstrip(MARKUP))
    first = _CUE.search(text)
    if first is not None:
        end = len(before_echo(text, first.end()).rstrip(MARKUP))
    last: re.Match[str] | None = None
    line = ""
    for cue in _CUE.finditer(text, 0, end):
        if cue.end() < end and not _denied(text, cue.start()) and not _POINTS.match(text, cue.end()):
            said = _line(text, cue.end(), end)
            if not cue["heading"] or len(said) <= _HEADED:
                last, line = cue, said
    named: re.Match[str] | None = None
    for found in _REVERSED.finditer(text, 0, end):
        if not _denied(text, found.start()) and not _ONE_OF.search(text, max(0, found.start() - 60), found.start()):
            named = found
    if named is not None and (last is None or named.start() > last.start()):
        return named["letter"]
    if last is None:
        return None
    ends = [_CLAUSE.search(line)]
    if last["verb"] or last["choose"] or last["han"] or last["verb2"]:
        ends.append(_SENTENCE_END.search(line))
    cut = min((found.start() for found in ends if found), default=len(line))
    return line[:cut].rstrip(MARKUP + ",;，；") or None


def before_echo(text: str, answered: int) -> str:
    """`text` up to a line behind position `answered` with which the model began the next question, if there is one."""
    echo = _ECHO.search(text, answered)
    return text if echo is None else text[: echo.start()]


def _denied(text: str, start: int) -> bool:
    return _DENIED.search(text, max(0, start - 60), start) is not None


def _line(text: str, start: int, end: int) -> str:
    """The first line with something on it between two positions."""
    if point := _POINT.match(text, start, end):
        start = point.end()
    while start < end and text[start] in MARKUP:
        start += 1
    stop = text.find("\n", start, end)
    return text[start : end if stop < 0 else stop]
