"""The deterministic part of VLMEvalKit's multiple-choice matcher, as it is.

It stands beside evalkit's strict rule because most published figures of generative models on V*Bench
and HR-Bench come from it. Its readings are its own: it takes the article "A" for option A, reads B out
of "answer is blue", and finds "red" in "bored".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_API_FAILED = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_NO_OPTION = "Z"
_SPACED = dict.fromkeys(map(ord, ".()[],:;!*#{}"), " ")
_LAST_WORDS = 4
# Linear: no two parts can share a character, and each run of spaces or stars follows one literal.
_ANSWER_IS = re.compile(r"answer\s+is\s+\**(?P<letter>[A-D])", re.IGNORECASE)


def handed_over(response: str) -> str:
    """What an agent's own code gives to the matcher: its answer, or everything where it marked none.

    The content of the first `<answer>…</answer>`, else the whole response, as DeepEyes, DeepEyesV2 and Metis do
    (e.g. Visual-Agent/DeepEyesV2@0373e6e, evaluation/VLMEvalKit/vlmeval/api/vllm_api.py).
    """
    _, opened, rest = response.partition("<answer>")
    answer, closed, _ = rest.partition("</answer>")
    return answer.strip() if opened and closed else response


def matched_option(response: str, choices: Mapping[str, str]) -> str | None:
    """The option that VLMEvalKit reads from a response before it would ask its judge.

    The first rule that applies decides (open-compass/VLMEvalKit@e8e78f0, vlmeval/utils/matching_util.py,
    with its environment variable VERBOSE not set):

    1. A response that holds one of four fixed refusals has no option.
    2. With `. ( ) [ ] , : ; ! * # { }` as spaces, exactly one of the option letters occurs as a word of its
       own, and its first occurrence is among the last four words: that letter. "A" at the start of a
       sentence counts as a letter.
    3. No option letter, but the word "Z": no option.
    4. A letter A to D right after the first "answer is", in either case and also as the start of a longer
       word, if it is offered.
    5. The response is at most twice as long as all option texts together, and exactly one of these is
       part of it, case ignored, word boundaries too.

    Where none applies VLMEvalKit asks a judge model up to three times and then picks an option at random;
    here that is no option.

    Args:
        response: the complete text that is matched; nothing of it is dropped first.
        choices: upper-case letter to text.

    Returns:
        The letter, or None; takes time linear in the response and never raises.
    """
    if _API_FAILED not in response:
        if any(refusal in response for refusal in _REFUSALS):
            return None
        words = response.translate(_SPACED).split()
        named = [letter for letter in choices if letter in words]
        if len(named) == 1 and words.index(named[0]) >= len(words) - _LAST_WORDS:
            return named[0]
        if not named and _NO_OPTION in words and _NO_OPTION not in choices:
            return None
        cue = _ANSWER_IS.search(response)
        if cue and cue["letter"].upper() in choices:
            return cue["letter"].upper()
    return _by_text(response, choices)


def _by_text(response: str, choices: Mapping[str, str]) -> str | None:
    text = response.lower()
    if len(text) > 2 * sum(map(len, choices.values())):
        return None
    found = [letter for letter, option in choices.items() if option.lower() in text]
    return found[0] if len(found) == 1 else None
