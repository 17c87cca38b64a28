"""Spans of OpenTelemetry around a call on both nodes; loaded only where traces are on.

The API decides nothing: without an SDK (the optional extra ``traces``) its spans are empty and only the ``traceparent``
travels.  Attributes name side, exchange and status; no path, no officer, no identifier.
Source: W3C Trace Context, level 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lienthong.monitoring.watch import Side

_CARRIER: Final = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class CallSpan:
    """One span and the tracer of its children."""

    tracer: trace.Tracer
    span: trace.Span

    def header(self) -> str:
        """The ``traceparent`` that names this span; empty when nothing is traced."""
        carrier: dict[str, str] = {}
        _CARRIER.inject(carrier, trace.set_span_in_context(self.span))
        return carrier.get("traceparent", "")

    def child(self, name: str) -> CallSpan:
        """A span of what is sent on."""
        context = trace.set_span_in_context(self.span)
        return CallSpan(self.tracer, self.tracer.start_span(name, context, trace.SpanKind.CLIENT))

    def end(self, status: int) -> None:
        """The work is done, with an HTTP status; 0 when there is none."""
        self.span.set_attribute("http.response.status_code", status)
        if status >= 500 or status == 0:
            self.span.set_status(trace.StatusCode.ERROR)
        self.span.end()


@dataclass(frozen=True, slots=True)
class Tracing:
    """Starts spans; ``provider`` None takes the one the process was set up with."""

    provider: trace.TracerProvider | None = None

    def start(self, side: Side, traceparent: str | None) -> CallSpan:
        """A span of a call on ``side``, the child of ``traceparent`` where the caller sent one."""
        tracer = trace.get_tracer("lienthong", tracer_provider=self.provider)
        context = _CARRIER.extract({"traceparent": traceparent}) if traceparent else None
        span = tracer.start_span(f"lienthong.{side}", context, trace.SpanKind.SERVER)
        span.set_attribute("lienthong.side", side)
        return CallSpan(tracer, span)
