"""A trace goes through both nodes to the back end; without tracing the caller's own passes untouched."""

from __future__ import annotations

import itertools

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.monitoring.test_monitoring import CASE, NAME, NUMBER, OFFICER, call

pytestmark = pytest.mark.integration
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EXPORTER = InMemorySpanExporter()


@pytest.fixture
def tracer_provider() -> TracerProvider:
    EXPORTER.clear()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    return provider


async def test_one_trace_holds_the_spans_of_both_nodes_and_reaches_the_back_end_without_naming_a_person(pair):
    answer = await call(pair, headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Road-Id": NUMBER})
    assert answer.status_code == 200

    spans = {span.name: span for span in EXPORTER.get_finished_spans()}
    assert list(spans) == ["lienthong.backend", "lienthong.provider", "lienthong.peer", "lienthong.consumer"]
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {TRACE}
    chain = ["lienthong.consumer", "lienthong.peer", "lienthong.provider", "lienthong.backend"]
    for above, below in itertools.pairwise(chain):
        assert spans[below].parent.span_id == spans[above].context.span_id
    assert f"{spans['lienthong.consumer'].parent.span_id:016x}" == PARENT
    assert pair.heard[-1]["traceparent"] == f"00-{TRACE}-{spans['lienthong.backend'].context.span_id:016x}-01"
    told = "".join(span.to_json() for span in spans.values())
    assert [word for word in (NUMBER, NAME, OFFICER, CASE) if word in told] == []


async def test_a_call_without_a_trace_begins_one(pair):
    await call(pair)

    (root,) = [span for span in EXPORTER.get_finished_spans() if span.name == "lienthong.consumer"]
    assert root.parent is None
    assert f"{root.context.trace_id:032x}" in pair.heard[-1]["traceparent"]


async def test_a_malformed_traceparent_is_nobody_s_child(pair):
    await call(pair, headers={"traceparent": NUMBER})

    assert {span.name: span for span in EXPORTER.get_finished_spans()}["lienthong.consumer"].parent is None


@pytest.mark.parametrize("tracer_provider", [None])
async def test_with_traces_off_the_caller_s_traceparent_reaches_the_back_end_as_it_was(pair):
    await call(pair, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})

    assert pair.heard[-1]["traceparent"] == f"00-{TRACE}-{PARENT}-01"
