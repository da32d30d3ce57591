"""The verdicts of lmms-eval's own scorers on given responses, for the table in docs/scoring.md.

Runs in an environment that has lmms-eval and needs nothing of evalkit there. Each case takes the way of a
response in `lmms-eval` on the command line: its default reasoning tags are cut out, then a task's
`process_results` is called in one of the default four worker threads. Only the judge is replaced: by one that
gives the reply that the case names, or, where it names none, by one that cannot be reached.

usage: python lmms_scorers.py CASES.jsonl VERDICTS.jsonl

A case is {"task": one of `SCORERS`, "id": any string, "doc": the row as lmms-eval's loader gives it,
"response": the model's text, "judge": the judge's reply, absent for no judge}.
The first line written is {"lmms_eval": version}; then one line a case, in order:
{"task", "id", "right": true, false or null, "answer": what its rule read, "error": "Type: message" or ""}.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

Doc = dict[str, Any]

# Its modules do not import without keys; none is used.
KEYS = {"OPENAI_API_KEY": "none", "JUDGE_API_KEY": "none", "API_TYPE": "openai", "HF_HUB_OFFLINE": "1"}
# They change its rules and are not set by default.
SWITCHES = ("VERBOSE", "USE_LLM_JUDGE")
FILTER = "none"

judge = threading.local()
"""`reply`: what the judge says to the case of this thread; None where it cannot be reached."""


class Scorer(NamedTuple):
    """Where the scorer of a task is, and where its result has the verdict."""

    module: str
    function: str
    metric: str
    right: Callable[[Any], bool]
    answer: Callable[[Doc, str, Any], object]


def _module(name: str) -> Any:
    return importlib.import_module(f"lmms_eval.tasks.{name}")


def _ask(*_: object) -> str:
    if judge.reply is None:
        raise ConnectionError("the judge cannot be reached")
    return str(judge.reply)


def _matched(doc: Doc, text: str, _result: object) -> object:
    utils = _module("hrbench.utils")
    return utils.hrbench_evaluator.can_infer(text.strip(), utils.hrbench_doc_to_options(doc)) or judge.reply


def _tagged(doc: Doc, text: str, _result: object) -> object:
    shared = _module("_task_utils.reasoning_utils")
    answer = shared.simple_parse(shared.extract_anwser_tag(text.strip()).strip())
    return answer if doc.get("question_type") == "free_form" else shared.parse_mcq(answer) or None


def _reasoning(module: str, function: str, metric: str) -> Scorer:
    """The `*_reasoning` tasks: tag, box or last number; letters; math-verify. No judge by default."""
    return Scorer(f"{module}.reasoning.utils", function, metric, lambda score: score == 1, _tagged)


SCORERS = {
    "vstar_bench": Scorer(
        "vstar_bench.utils",
        "vstar_process_results",
        "vstar_overall_acc",
        lambda result: result["score"] == 1,
        lambda _doc, _text, result: result["prediction"],
    ),
    "hrbench4k": Scorer(
        "hrbench.utils", "hrbench_process_results", "average", lambda result: result["gpt_score"] == 1, _matched
    ),
    "mathvista_testmini_format": Scorer(
        "mathvista.utils",
        "mathvista_process_results",
        "llm_as_judge_eval",
        lambda result: bool(result["true_false"]),
        lambda _doc, _text, result: result["prediction"],
    ),
    "vstar_bench_reasoning": _reasoning("vstar_bench", "vstar_reasoning_process_results", "vstar_overall_acc_score"),
    "mathvista_testmini_cot_reasoning": _reasoning("mathvista", "mathvista_process_results", "acc_score"),
    "wemath_testmini_reasoning": _reasoning("wemath", "wemath_reasoning_process_results", "acc_score"),
}


def replace_judges() -> None:
    """Let both tasks that ask a judge ask `judge`."""
    _module("hrbench.utils").hrbench_evaluator._post_request = lambda _: {"choices": [{"message": {"content": _ask()}}]}
    server = _module("mathvista.utils").mathvista_evaluator.server
    server.evaluate = lambda _: SimpleNamespace(success=True, content=_ask(), error="")


def verdict(case: Mapping[str, Any], process: Callable[..., Any], tags: object) -> dict[str, Any]:
    """lmms-eval's verdict on one case; what its scorer raised, which would end its run, is part of it."""
    found: dict[str, Any] = {"task": case["task"], "id": case["id"], "right": None, "answer": None, "error": ""}
    scorer = SCORERS[case["task"]]
    judge.reply = case.get("judge")
    task = SimpleNamespace(process_results=getattr(_module(scorer.module), scorer.function))
    request = SimpleNamespace(filtered_resps={FILTER: case["response"]}, raw_filtered_resps={})
    try:
        done = process(
            (0, case["doc"], [request]), task=task, filter_key=FILTER, reasoning_tags=tags, log_samples=False
        )
        result = done.metrics[scorer.metric]
        answer = scorer.answer(case["doc"], request.filtered_resps[FILTER], result)
    except Exception as error:
        return found | {"error": f"{type(error).__name__}: {error}"[:200]}
    return found | {"right": scorer.right(result), "answer": None if answer is None else str(answer)[:200]}


def main(cases: Path, verdicts: Path) -> None:
    """Score the cases of one file into another."""
    os.environ.update(KEYS)
    for name in SWITCHES:
        os.environ.pop(name, None)
    sys.argv = sys.argv[:1]
    from lmms_eval import evaluator
    from lmms_eval.__main__ import parse_eval_args
    from lmms_eval.api.reasoning import parse_reasoning_tags_config
    from loguru import logger

    logger.disable("lmms_eval")
    replace_judges()
    defaults = parse_eval_args()[1]
    tags = parse_reasoning_tags_config(cli_value=defaults.reasoning_tags)

    def score(line: str) -> dict[str, Any]:
        return verdict(json.loads(line), evaluator._process_document_results, tags)

    with cases.open(encoding="utf-8") as lines, verdicts.open("w", encoding="utf-8") as out:
        print(json.dumps({"lmms_eval": importlib.metadata.version("lmms_eval")}), file=out)
        for found in evaluator._thread_map_ordered(score, lines, defaults.process_docs_parallel):
            print(json.dumps(found), file=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
