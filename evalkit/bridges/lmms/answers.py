"""What of an agent's response lmms-eval's scorers are given."""

from __future__ import annotations

from evalkit.scoring.extract import stated
from evalkit.scoring.tags import bare, last_answer_tag

_TAG = "<answer>"


def handed_over(response: str, question: str) -> tuple[str, str]:
    """The text to score, and how it was found.

    lmms-eval's scorers expect an answer and nothing around it, or whatever form their own prompt asks for. An agent's
    protocol has its own: what stands in its answer tag is handed over. A task that asks for that tag itself, and a
    response without one, get the response as it is.

    Args:
        response: the agent's last words.
        question: the task's prompt.
    """
    if _TAG in question:
        return response, "whole"
    answer = last_answer_tag(stated(response))
    return (response, "whole") if answer is None else (bare(answer), "answer_tag")
