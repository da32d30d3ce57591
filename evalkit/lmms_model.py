"""`python -m lmms_eval --model evalkit --model_args model=metis,engine=openai,base_url=…`: a tool agent for any task.

All requests come in one call, so evalkit runs them as it runs its own tasks: many trajectories in flight, each
recorded in a run folder. The `model_args` are the options of `evalkit run`, by name.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms

from evalkit.api import run
from evalkit.bridges.lmms.answers import handed_over
from evalkit.bridges.lmms.guest.network import Watch
from evalkit.bridges.lmms.here import Here
from evalkit.bridges.lmms.task import HERE, PREFIX, Loaded
from evalkit.errors import EvalkitError, one_line
from evalkit.records import AGENT, Record, StopReason
from evalkit.runs.outcome import said
from evalkit.task import HubDataset

_OWN = ("tasks", "limit", "counterfactual", "arms", "repeats", "log_to")


class EvalkitModel(lmms):  # type: ignore[misc]
    """An agent of evalkit's.

    Args:
        model: as for `evalkit run --model`.
        batch_size: nothing: `concurrency` says how many trajectories are in flight.
        max_batch_size: nothing.
        device: as for `evalkit run --device`; lmms-eval's default is not passed on.
        **options: every other option of `evalkit run`, e.g. `engine`, `base_url`, `protocol`, `concurrency`, `out`.
    """

    is_simple = False

    def __init__(
        self,
        model: str = "metis-nano",
        batch_size: Any = None,
        max_batch_size: Any = None,
        device: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if odd := [name for name in options if name in _OWN]:
            raise EvalkitError(f"--model_args: {', '.join(odd)} is lmms-eval's to say, or goes with evalkit run alone")
        self._model = model
        self._options = {**options, **({"device": device} if device else {})}
        self._watch = Watch(whole=False)

    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        """Run a trajectory for each request.

        Raises:
            EvalkitError: an option is wrong, or a row failed: lmms-eval would count it as a wrong answer.
        """
        order, places = Counter[tuple[str, int]](), []
        for request in requests:
            _, _, _, doc, task, _ = request.args
            places.append((task, doc, order[task, doc]))
            order[task, doc] += 1
        done: dict[tuple[str, int, int], Record] = {}
        for times in sorted(set(order.values())):
            mine = [request for request in requests if order[request.args[4], request.args[3]] == times]
            done.update(self._run(mine, times))
        failed = [record for record in done.values() if record.outcome.verdict.is_error and not _only_unscored(record)]
        lost = sum(place not in done for place in places)
        if failed or lost:
            why = one_line(failed[0].outcome.error, 160) if failed else "they were not run"
            raise EvalkitError(
                f"evalkit: {len(failed) + lost} of {len(places)} rows have no response ({why}); "
                "the same command again goes on from here"
            )
        return [_result(done[place]) for place in places]

    def loglikelihood(self, requests: list[Instance]) -> Any:
        """An agent has none.

        Raises:
            EvalkitError: always.
        """
        raise EvalkitError("evalkit's agent generates; it has no likelihoods: choose a task with generate_until")

    def generate_until_multi_round(self, requests: list[Instance]) -> Any:
        """The rounds of an agent are its own.

        Raises:
            EvalkitError: always.
        """
        raise EvalkitError("evalkit's agent has turns of its own; tasks of several rounds are not run with it")

    def _run(self, requests: Sequence[Instance], times: int) -> dict[tuple[str, int, int], Record]:
        wanted: dict[str, list[Instance]] = {}
        for request in requests:
            wanted.setdefault(request.args[4], []).append(request)
        for task, mine in wanted.items():
            _, messages, _, _, _, split = mine[0].args
            docs = list(dict.fromkeys(request.args[3] for request in mine))
            config = messages.__self__.config
            hub = HubDataset(id=str(config.dataset_path), split=split, config=config.dataset_name or "")
            host = Here(messages, self.task_dict[task][split], docs, self._watch)
            HERE[task] = Loaded(host, hub, importlib.metadata.version("lmms-eval"))
        try:
            names = [f"{PREFIX}{task}" for task in wanted]
            runs = run(model=self._model, tasks=names, repeats=times, **self._options)
            return {
                (done.task.removeprefix(PREFIX), int(record.sample.id), record.repeat): record
                for done in runs
                for record in done.records
                if record.arm == AGENT
            }
        finally:
            for task in wanted:
                HERE.pop(task, None)


def _only_unscored(record: Record) -> bool:
    """Whether there is a response, which lmms-eval can score by itself."""
    return record.trajectory.stop in (StopReason.ANSWERED, StopReason.ENDED)


def _result(record: Record) -> GenerationResult:
    usage = record.trajectory.usage
    counts = TokenCounts(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)
    text = ""
    if record.trajectory.stop in (StopReason.ANSWERED, StopReason.ENDED):
        text, _ = handed_over(said(record.trajectory), record.sample.question)
    return GenerationResult(text=text, token_counts=counts)
