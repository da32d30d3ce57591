"""OpenTelemetry's exporter, and how many spans it did not get rid of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class CountingExporter:
    """An exporter of spans (by its methods, an `opentelemetry.sdk.trace.export.SpanExporter`).

    The library tells nobody but its log that a batch was not taken.

    Attributes:
        lost: spans that were not taken.
    """

    def __init__(self, exporter: Any) -> None:
        self.lost = 0
        self._exporter = exporter

    def export(self, spans: Sequence[Any]) -> Any:
        """Hand on a batch."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            result = self._exporter.export(spans)
        except BaseException:
            self.lost += len(spans)
            raise
        if result is not SpanExportResult.SUCCESS:
            self.lost += len(spans)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the exporter does."""
        return bool(self._exporter.force_flush(timeout_millis))

    def shutdown(self) -> None:
        """As the exporter does."""
        self._exporter.shutdown()
