"""Traces of trajectories, by the semantic conventions for generative AI, from the real SDK."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit import CallStatus, Observation, Record, Timing, ToolCall, Turn, Usage, Verdict
from evalkit.hooks.otel import OtelHook
from evalkit.runs.folder import read_info
from tests.run_folders import row, write_run

pytest.importorskip("opentelemetry.sdk", reason="the extra evalkit[otel] is not installed")

START = 1_800_000_000.0


def trajectory(**more: Any) -> Record:
    """Two generations and a call between them, timed."""
    import msgspec

    record = row(7, **more)
    first = Turn(
        text="let me look",
        finish_reason="stop",
        calls=(
            ToolCall(tool="python", raw="print(1)", status=CallStatus.FAILED, seconds=0.5, error="NameError: secret"),
            ToolCall(tool="python", raw="print(2)", status=CallStatus.NOT_RUN),
        ),
        observations=(Observation(text="boom"),),
        usage=Usage(prompt_tokens=10, completion_tokens=3, image_tokens=4),
        timing=Timing(queue_s=0.25, ttft_s=0.25, generate_s=1.0, tool_s=0.5),
    )
    last = Turn(text="A", usage=Usage(prompt_tokens=20, completion_tokens=1), timing=Timing(generate_s=0.25))
    whole = msgspec.structs.replace(record.trajectory, turns=(first, last), started_at=START, total_s=2.0)
    return msgspec.structs.replace(record, trajectory=whole)


@pytest.fixture
def spans(tmp_path: Path) -> Any:
    """Runs the hook over records; the spans by name, and all of them."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    def call(*records: Record, texts: bool = False) -> list[Any]:
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        folder = write_run(tmp_path / f"run{len(list(tmp_path.iterdir()))}", records)
        hook = OtelHook(provider, texts)
        hook.on_run_start(read_info(folder), folder)
        for record in records:
            hook.on_sample_end(record)
        hook.on_run_end(None, folder)  # type: ignore[arg-type]
        hook.close()
        return list(exporter.get_finished_spans())

    return call


def seconds(span: Any) -> tuple[float, float]:
    return span.start_time / 1e9 - START, span.end_time / 1e9 - START


def test_a_trajectory_is_one_trace_with_the_times_that_were_measured(spans: Any) -> None:
    chat, tool, last, root = spans(trajectory())
    assert [span.name.split()[0] for span in (root, chat, tool, last)] == [
        "invoke_agent",
        "chat",
        "execute_tool",
        "chat",
    ]
    assert len({span.context.trace_id for span in (root, chat, tool, last)}) == 1
    assert {span.parent.span_id for span in (chat, tool, last)} == {root.context.span_id}
    assert root.parent is None
    times = [seconds(span) for span in (root, chat, tool, last)]
    assert np.allclose(times, [(0, 2.0), (0, 1.0), (1.0, 1.5), (1.5, 1.75)], atol=1e-5)


def test_attributes_are_those_of_the_conventions(spans: Any) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

    chat, tool, _, root = spans(trajectory())
    assert root.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert (root.attributes["gen_ai.usage.input_tokens"], root.attributes["gen_ai.usage.output_tokens"]) == (30, 4)
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert chat.attributes["gen_ai.response.time_to_first_chunk"] == 0.5
    assert tool.attributes["gen_ai.operation.name"] == "execute_tool"
    assert tool.attributes["gen_ai.tool.name"] == "python"
    assert tool.attributes["error.type"] == "failed"
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    used = {name for span in (chat, tool, root) for name in span.attributes if name.startswith("gen_ai.")}
    assert used <= known
    (verdict,) = root.events
    assert (verdict.name, verdict.attributes["gen_ai.evaluation.score.value"]) == ("gen_ai.evaluation.result", 1.0)


def test_no_text_is_in_a_span_unless_it_is_asked_for(spans: Any) -> None:
    quiet = json.dumps([json.loads(span.to_json()) for span in spans(trajectory())])
    for text in ("What is 7", "let me look", "print(1)", "boom", "NameError"):
        assert text not in quiet
    loud = json.dumps([json.loads(span.to_json()) for span in spans(trajectory(), texts=True)])
    for text in ("What is 7", "let me look", "print(1)", "boom", "NameError"):
        assert text in loud


def test_a_failed_row_is_an_error_and_has_no_score(spans: Any) -> None:
    root = spans(row(1, Verdict.ENGINE_ERROR))[-1]
    assert root.attributes["error.type"] == "engine_error"
    assert not root.status.is_ok
    assert not root.events


def test_every_trajectory_has_a_trace_of_its_own(spans: Any) -> None:
    roots = [span for span in spans(row(1), row(2), row(2, arm="direct")) if span.parent is None]
    assert len({span.context.trace_id for span in roots}) == 3


def test_the_variable_of_opentelemetry_names_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.errors import EvalkitError

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "smoke")
    with pytest.raises(EvalkitError, match="unknown exporter in OTEL_TRACES_EXPORTER 'smoke'"):
        OtelHook()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    OtelHook().close()


class Collector:
    """Stands in for an exporter; takes batches, or the first one not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, refuses_first: bool = False) -> None:
        self.batches: list[int] = []
        self.name = "mine"
        self._refuses = refuses_first
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "mine")
        monkeypatch.setattr("evalkit.hooks.otel.entry_points", lambda group: [self])

    def load(self) -> Any:
        return lambda: self

    def export(self, spans: Any) -> Any:
        from opentelemetry.sdk.trace.export import SpanExportResult

        # slower than spans are made
        time.sleep(0.01)
        self.batches.append(len(spans))
        refused = self._refuses and len(self.batches) == 1
        return SpanExportResult.FAILURE if refused else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def test_spans_that_no_collector_takes_are_said_and_the_hook_can_be_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evalkit.errors import EvalkitError

    collector = Collector(monkeypatch, refuses_first=True)
    folder, hook = write_run(tmp_path / "run", [row(1)]), OtelHook()
    for lost in (True, False):
        hook.on_run_start(read_info(folder), folder)
        hook.on_sample_end(row(1))
        if lost:
            with pytest.raises(EvalkitError, match="the collector did not take 2 spans"):
                hook.on_run_end(None, folder)  # type: ignore[arg-type]
        hook.close()
    assert collector.batches == [2, 2]


def test_no_span_is_dropped_for_want_of_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Collector(monkeypatch)
    folder, hook = write_run(tmp_path / "run", [row(1)]), OtelHook()
    hook.on_run_start(read_info(folder), folder)
    for i in range(3000):
        hook.on_sample_end(row(i))
    hook.on_run_end(None, folder)  # type: ignore[arg-type]
    hook.close()
    assert sum(collector.batches) == 6000
