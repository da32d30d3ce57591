"""Where in a complete response the answer stands, and how it was found.

The rules are tried in a fixed order and the first that applies decides; an answer that none of
them finds is no answer. Nothing here knows what kind of answer is wanted: `choice` turns the
extracted string into an option letter, `free_form` into a number or a list.
"""

from __future__ import annotations

import json
import re

import msgspec

from evalkit.scoring.cues import before_echo, last_cue
from evalkit.scoring.sentence import final_statement
from evalkit.scoring.tags import (
    answered_at,
    bare,
    last_answer_tag,
    last_box,
    unclosed_answer,
    without_reasoning,
    without_tokens,
)

ANSWER_TAG = "answer_tag"
BOXED = "boxed"
JSON = "json"
CUE = "cue"
FINAL = "final_sentence"
WHOLE = "whole"
NONE = "none"

_WHOLE_LIMIT = 300
_JSON_LIMIT = 5_000
_FENCED = re.compile(r"```(?:json)?\s{0,5}(\{[^`]{1,5000}\}|\[[^`]{1,5000}\])\s{0,5}```\s{0,5}$")


class Extraction(msgspec.Struct, frozen=True):
    """An answer as the model wrote it.

    Attributes:
        answer: the text, without tags and markup around it; None when there is none.
        reason: the rule that found it: "answer_tag", "boxed", "json", "cue", "final_sentence", "whole" or "none".
    """

    answer: str | None
    reason: str


def extract(response: str) -> Extraction:
    r"""Find the answer of a complete response, or none.

    Reasoning is dropped first: `<think>`, `<thinking>`, `<reason>` and `<reasoning>` blocks, all
    that follows an unclosed one, and all that precedes a closing tag whose opening tag was part of
    the prompt. In the rest the first of the numbered rules that applies decides.

    Two things are repaired: where nothing but reasoning that was never closed is left, an answer tag that ends the
    response counts; and a next question that the model wrote itself behind its answer (`Question: …`) is cut off.

    1. "answer_tag": the last complete `<answer>…</answer>`, and in it the box or the cue if it has one;
    2. "boxed": the last `\boxed{…}`;
    3. "json": the field "answer" of a JSON object that is the whole rest or ends it in a code fence, or a list in one;
    4. "cue": the last of `Answer: …`, `<Answer>: …` (We-Math's own format), `the correct answer is …`,
       `Option C is correct`, and the like in other languages (`答案是…`);
    5. "whole": the whole rest, if it is one short line.

    A tag that never closes holds no answer: `<answer>B` may be the beginning of "Based on …", and
    `<answer>12` of 125. (Of the recorded agents' 1,182 responses none ends so.)

    Args:
        response: the complete text of the last turn.

    Returns:
        The answer and the rule; takes time linear in the response and never raises.
    """
    text = stated(response)
    tagged = last_answer_tag(text)
    if tagged is not None:
        answer = last_box(tagged) or _json_answer(tagged) or last_cue(tagged) or bare(bare(tagged).lstrip(":："))
        return Extraction(answer, ANSWER_TAG) if answer else Extraction(None, NONE)
    if boxed := last_box(text):
        return Extraction(boxed, BOXED)
    if field := _json_answer(text):
        return Extraction(field, JSON)
    if cued := last_cue(text):
        return Extraction(cued, CUE)
    whole = bare(text)
    if whole and len(whole) <= _WHOLE_LIMIT and "\n" not in whole:
        return Extraction(whole, WHOLE)
    return Extraction(None, NONE)


def concluded(response: str, found: Extraction) -> Extraction | None:
    """What the final sentence concludes, where `found` could not be read as the kind of answer wanted.

    Args:
        response: the complete text of the last turn.
        found: what `extract` made of it.

    Returns:
        The statement of the final sentence of the answer that was marked, with that mark's reason; where nothing
        was marked, of the whole response, with reason "final_sentence"; None where there is none.
    """
    marked = found.reason not in (WHOLE, NONE)
    text = found.answer if marked and found.answer is not None else stated(response)
    if marked and text[-1:] not in ".!。":
        text += "."
    statement = final_statement(text)
    return Extraction(statement, found.reason if marked else FINAL) if statement else None


def stated(response: str) -> str:
    """A response without its reasoning, up to a next question that the model wrote itself after it had answered."""
    response = without_tokens(response)
    text = without_reasoning(response)
    if not text.strip() and (answer := unclosed_answer(response)):
        return f"<answer>{answer}</answer>"
    answered = answered_at(text)
    return text if answered is None else before_echo(text, answered)


def _json_answer(text: str) -> str | None:
    text = bare(text[-_JSON_LIMIT - 20 :]) if len(text) > _JSON_LIMIT else text.strip()
    if fenced := _FENCED.search(text):
        text = fenced[1]
        if text.startswith("[") and _is_list(text):
            return text
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = {key.casefold().replace(" ", "_"): value for key, value in fields.items()}
    value = found.get("answer", found.get("final_answer"))
    if value is None or isinstance(value, dict):
        return None
    return (value if isinstance(value, str) else json.dumps(value)).strip() or None


def _is_list(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, list)
