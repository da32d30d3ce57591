"""The letter matcher of the benchmark's authors, as it is.

Their own pipeline has every response judged by a language model. The deterministic part of their code is this
matcher; lmms-eval's HR-Bench task applies the same one to each response before it asks a judge.
"""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.scoring.vlmevalkit import handed_over

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_API_FAILED = "Failed to obtain answer via API"
_SPACED = dict.fromkeys(map(ord, ".()[],:;!*#{}"), " ")
_NO_OPTION = "Z"


def official_answer(response: str, choices: Mapping[str, str]) -> str | None:
    """The option that the authors' matcher reads, before any judge is asked.

    It is given what an agent's own code hands over: the first `<answer>…</answer>`, or everything
    (`evalkit.scoring.vlmevalkit.handed_over`). The first rule that applies decides
    (DreamMr/HR-Bench@b17b199, hrbench/vlmeval/utils/matching_util.py; lmms-eval@75571cf,
    lmms_eval/tasks/hrbench/hrbench_evals.py; environment variable VERBOSE not set):

    1. one of four fixed refusals is in it: no option;
    2. with `. ( ) [ ] , : ; ! * # { }` as spaces, exactly one option letter occurs as a word of its own,
       wherever it stands and however often: that letter, also where it is the article "A";
    3. no option letter occurs, but the word "Z": no option;
    4. exactly one option's text is part of it, case ignored, word boundaries too.

    Args:
        response: the complete text of the last turn.
        choices: upper-case letter to text.

    Returns:
        The letter; None where the authors' code would ask a judge, or has none of the options. Takes time
        linear in the response and never raises.
    """
    text = handed_over(response)
    if _API_FAILED not in text:
        if any(refusal in text for refusal in _REFUSALS):
            return None
        words = set(text.translate(_SPACED).split())
        named = [letter for letter in choices if letter in words]
        if len(named) == 1:
            return named[0]
        if not named and _NO_OPTION in words:
            return None
    lower = text.lower()
    found = [letter for letter, option in choices.items() if option.lower() in lower]
    return found[0] if len(found) == 1 else None
