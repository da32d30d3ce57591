"""Every trajectory as an OpenTelemetry trace, by the semantic conventions for generative AI.

One `invoke_agent` span a trajectory; in it a `chat` span for each generation and an `execute_tool` span for each call
that ran, with the times that were measured (conventions 1.41 and later, status "development":
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/). What a record times is how long each generation
and call took, one after the other: spans are laid end to end from the start of the trajectory, and what the harness did
between them stands at the end of the trace.

Where spans go say OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_ENDPOINT (OTLP over HTTP), or
OTEL_TRACES_EXPORTER=console. Texts of prompts, responses, arguments and tool results are left out unless
OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true; images always are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.hooks._exporter import CountingExporter
from evalkit.hooks._messages import input_messages, output_messages
from evalkit.hooks.base import Hook
from evalkit.records import Record, ToolCall, Turn, Usage
from evalkit.secrets import without_secrets

if TYPE_CHECKING:
    from evalkit.analysis import Summary
    from evalkit.runs.folder import RunInfo

TEXTS = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EXPORTER = "OTEL_TRACES_EXPORTER"
SERVICE = "OTEL_SERVICE_NAME"
_GROUP = "opentelemetry_traces_exporter"
_NS = 1_000_000_000
_FLUSH_MS = 30_000
_HELD = 1000
"""Spans after which they are handed over: the library drops those beyond its queue, 2,048 unless it is told another."""


class OtelHook(Hook):
    """Traces of a run.

    Args:
        provider: an `opentelemetry.sdk.trace.TracerProvider` of the caller's; None makes one as the variables say.
        texts: whether prompts, responses, arguments and results are in the spans; None asks the variable.
    """

    name = "otel"

    def __init__(self, provider: Any = None, texts: bool | None = None) -> None:
        self._exporter: CountingExporter | None = None
        self._provider = provider
        if provider is None:
            # what the variables say wrongly is said before anything runs
            self._open()
        self._texts = os.environ.get(TEXTS, "").strip().lower() == "true" if texts is None else texts
        self._tracer: Any = None
        self._about: dict[str, Any] = {}
        self._model = ""
        self._held = self._told = 0

    def _open(self) -> None:
        self._provider, self._exporter = _provider()
        self._told = 0

    def on_run_start(self, info: RunInfo, folder: Path) -> None:
        """What is the same in every span of the run."""
        from evalkit.version import __version__

        if self._provider is None:
            self._open()
        self._tracer = self._provider.get_tracer("evalkit", __version__)
        self._model = str(info.config["model"]["name"])
        self._about = {
            "gen_ai.provider.name": str(info.config.get("engine") or "evalkit"),
            "gen_ai.request.model": self._model,
            "evalkit.run": folder.name,
            "evalkit.task": str(info.config["task"]["name"]),
        }

    def on_sample_end(self, record: Record) -> None:
        """One trace, with the times that the record has."""
        if self._tracer is None:
            return
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, set_span_in_context

        trajectory = record.trajectory
        start = _start(record)
        root = self._tracer.start_span(
            f"invoke_agent {self._model}",
            # a trace of its own, whatever the caller's process is in
            context=Context(),
            kind=SpanKind.INTERNAL,
            start_time=start,
            attributes=self._attributes("invoke_agent", trajectory.usage, self._of_record(record)),
        )
        within, clock = set_span_in_context(root, Context()), start
        for place, turn in enumerate(trajectory.turns):
            clock = self._turn(within, turn, place, clock, trajectory.prompt if place == 0 else "")
        end = max(clock, start + _ns(trajectory.total_s))
        self._verdict(root, record, end)
        root.end(end)
        self._held += 1 + len(trajectory.turns) + len(trajectory.calls)
        if self._exporter and self._held >= _HELD:
            self._held = 0
            # a collector that is not there is not waited for again and again
            if not self._exporter.lost:
                self._provider.force_flush(_FLUSH_MS)
                self._say_lost()

    def on_run_end(self, summary: Summary, folder: Path) -> None:
        """Hand over what is still held.

        Raises:
            EvalkitError: the collector did not take all of it.
        """
        if self._provider is None:
            return
        if not self._provider.force_flush(_FLUSH_MS):
            raise EvalkitError("the collector did not take all spans within 30 s")
        self._say_lost()

    def close(self) -> None:
        """End what this hook has started.

        Raises:
            EvalkitError: the collector did not take the last spans.
        """
        if self._exporter:
            self._provider.shutdown()
            self._provider = self._tracer = None
            self._say_lost()

    def _say_lost(self) -> None:
        if self._exporter and (lost := self._exporter.lost - self._told):
            self._told = self._exporter.lost
            raise EvalkitError(f"the collector did not take {lost} spans; is OTEL_EXPORTER_OTLP_ENDPOINT right?")

    def _turn(self, within: Any, turn: Turn, place: int, clock: int, prompt: str) -> int:
        """The spans of one generation and its calls; when they end."""
        from opentelemetry.trace import SpanKind

        end = clock + _ns(turn.timing.generate_s)
        more: dict[str, Any] = {"evalkit.turn": place}
        if turn.finish_reason:
            more["gen_ai.response.finish_reasons"] = [one_line(turn.finish_reason, 40)]
        if turn.temperature is not None:
            more["gen_ai.request.temperature"] = turn.temperature
        if turn.timing.ttft_s is not None:
            more["gen_ai.response.time_to_first_chunk"] = (turn.timing.queue_s or 0.0) + turn.timing.ttft_s
        if self._texts:
            more["gen_ai.output.messages"] = output_messages(turn)
            if prompt:
                more["gen_ai.input.messages"] = input_messages(prompt)
        self._tracer.start_span(
            f"chat {self._model}",
            context=within,
            kind=SpanKind.CLIENT,
            start_time=clock,
            attributes=self._attributes("chat", turn.usage, more),
        ).end(end)
        for index, call in enumerate(turn.calls):
            if call.status.dispatched:
                result = turn.observations[index].text if index < len(turn.observations) else ""
                end = self._call(within, call, f"{place}.{index}", end, result)
        return end

    def _call(self, within: Any, call: ToolCall, id: str, clock: int, result: str) -> int:
        from opentelemetry.trace import SpanKind, StatusCode

        tool = one_line(call.tool, 80)
        more: dict[str, Any] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.call.id": id,
            "gen_ai.tool.type": "function",
        }
        if self._texts:
            more |= {"gen_ai.tool.call.arguments": call.raw, "gen_ai.tool.call.result": result}
        span = self._tracer.start_span(
            f"execute_tool {tool}", context=within, kind=SpanKind.INTERNAL, start_time=clock, attributes=more
        )
        if call.status != "ok":
            span.set_attribute("error.type", str(call.status))
            # what a tool says of its failure can hold what the model wrote
            span.set_status(StatusCode.ERROR, one_line(call.error, 200) if self._texts else None)
        end = clock + _ns(call.seconds)
        span.end(end)
        return end

    def _of_record(self, record: Record) -> dict[str, Any]:
        more: dict[str, Any] = {
            "gen_ai.agent.name": self._model,
            "gen_ai.conversation.id": f"{self._about['evalkit.run']}/{record.sample.id}/{record.arm}/{record.repeat}",
            "evalkit.sample": record.sample.id,
            "evalkit.arm": record.arm,
            "evalkit.repeat": record.repeat,
            "evalkit.stop": str(record.trajectory.stop),
            "evalkit.verdict": str(record.outcome.verdict),
        }
        if self._texts:
            more["gen_ai.input.messages"] = input_messages(record.trajectory.prompt)
        return more

    def _attributes(self, operation: str, usage: Usage, more: dict[str, Any]) -> dict[str, Any]:
        return {**dict(_tokens(usage)), "gen_ai.operation.name": operation, **self._about, **more}

    def _verdict(self, root: Any, record: Record, end: int) -> None:
        from opentelemetry.trace import StatusCode

        outcome = record.outcome
        if outcome.verdict.is_error:
            root.set_attribute("error.type", str(outcome.verdict))
            root.set_status(StatusCode.ERROR, one_line(without_secrets(outcome.error), 200) if self._texts else None)
            return
        marks = {
            "gen_ai.evaluation.name": self._about["evalkit.task"],
            "gen_ai.evaluation.score.value": float(outcome.right()),
            "gen_ai.evaluation.score.label": str(outcome.verdict),
        }
        root.add_event("gen_ai.evaluation.result", marks, timestamp=end)


def _start(record: Record) -> int:
    """When the trajectory began; one that nobody timed ends now."""
    trajectory = record.trajectory
    if trajectory.started_at:
        return int(trajectory.started_at * _NS)
    return time.time_ns() - _ns(trajectory.total_s)


def _ns(seconds: float | None) -> int:
    return max(0, int((seconds or 0.0) * _NS))


def _tokens(usage: Usage) -> Iterator[tuple[str, int]]:
    if usage.prompt_tokens is not None:
        yield "gen_ai.usage.input_tokens", usage.prompt_tokens
    if usage.completion_tokens is not None:
        yield "gen_ai.usage.output_tokens", usage.completion_tokens


def _provider() -> tuple[Any, CountingExporter]:
    """A provider, and its exporter, which the variable names.

    Raises:
        EvalkitError: there is no such exporter.
    """
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get(EXPORTER, "").strip() or "otlp"
    known = {point.name: point for point in entry_points(group=_GROUP)}
    point = known.get("otlp_proto_http" if name == "otlp" else name)
    if point is None:
        if name == "otlp":
            raise EvalkitError("--log-to otel needs an exporter; run: pip install 'evalkit[otel]'")
        raise unknown("exporter in OTEL_TRACES_EXPORTER", name, {*known, "otlp"}, "opentelemetry's registry")
    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get(SERVICE) or "evalkit"}))
    exporter = CountingExporter(point.load()())
    provider.add_span_processor(BatchSpanProcessor(exporter))  # type: ignore[arg-type,unused-ignore]
    return provider, exporter
