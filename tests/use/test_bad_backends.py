"""A provider's back end that is down, slow or lying: a defined problem, a record, and the next call works."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lienthong.catalog.models import Endpoint, Field, HttpSource, Service, Subject
from lienthong.directory.models import ServiceId, SystemId
from lienthong.exchange.backend import Backend
from lienthong.exchange.breaker import FAILURES
from lienthong.exchange.client import HttpClient
from lienthong.exchange.consume import Used, Wish
from lienthong.exchange.describe import NOTICE, Describer, Descriptions
from lienthong.exchange.metaservices import Metaservices, WrongServiceType
from lienthong.exchange.provide import UnknownService
from lienthong.exchange.xroad import read_call
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from tests.agreements.build import compiled
from tests.exchange.scripted import read_request, scripted
from tests.use.databases import databases
from tests.use.nodes import COUNTER, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

pytestmark = pytest.mark.integration

PEOPLE = "VN/GOV/G01/dancu/people"
PERSON = "001099012345"
GOOD = {"rows": [{"number": PERSON, "name": "Nguyễn Thị Bình", "phone": "0912345678", "born": "1999-05-02"}], "all": 1}
FIELDS = (
    Field("$.rows[*].number", "string", personal=True),
    Field("$.rows[*].name", "string", personal=True),
    Field("$.rows[*].phone", "string", personal=True),
    Field("$.rows[*].born", "date", personal=True),
    Field("$.rows[*].height", "integer"),
)


def answering(body: bytes, *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_answer(value: object, **changes: Any) -> bytes:
    return answering(json.dumps(value, ensure_ascii=False).encode(), "Content-Type: application/json", **changes)


@dataclass
class BackEnd:
    """Says what it is told to say; None: nothing, for as long as the caller waits."""

    says: bytes | None
    then_close: bool = False
    calls: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            self.calls += 1
            if self.says is None:
                await reader.read()
                return
            writer.write(self.says)
            await writer.drain()
            if self.then_close:
                return


@dataclass
class Country:
    """Two nodes with a back end behind the second."""

    consumer: TestNode
    provider: TestNode
    back_end: BackEnd
    descriptions: Descriptions

    def service(self, **changes: Any) -> None:
        """Change what the provider publishes."""
        self.provider.services[PEOPLE] = replace(self.provider.services[PEOPLE], **changes)

    def agree(self, **changes: Any) -> None:
        """Both sides hold this agreement and no other."""
        for node in (self.consumer, self.provider):
            node.agreements[:] = [compiled(target=PEOPLE, purposes=(PURPOSE,), **changes)]

    async def call(self, rest: bytes = b"") -> Used:
        return await self.consumer.consumer.use(
            Wish(
                consumer=COUNTER, service=PEOPLE, way="call", target=b"/x1/" + PEOPLE.encode() + rest,
                body=json.dumps({"number": PERSON}).encode(), purpose=PURPOSE,
            )
        )  # fmt: skip

    async def check_works(self) -> None:
        """The back end behaves again: the next call is answered."""
        self.back_end.says, self.back_end.then_close = json_answer(GOOD), False
        used = await self.call()
        assert (used.answer.status, (await self.provider.leaves())[-1]["outcome"]) == (200, "permitted")

    async def check_failed(self, used: Used, kind: str, status: int, outcome: str = "failed") -> None:
        """``used`` was answered by the problem ``kind``, recorded so on both sides, with no byte of the back end."""
        problem = json.loads(used.answer.body)
        assert (problem["type"], used.answer.status) == (f"urn:lienthong:problem:{kind}", status)
        assert problem["status"] == status
        assert problem["side"] == "provider"
        assert problem["mend"]
        assert PERSON not in used.answer.body.decode()
        assert "127.0.0.1" not in used.answer.body.decode()
        ours, theirs = (await self.consumer.leaves())[-1], (await self.provider.leaves())[-1]
        assert (ours["outcome"], ours["reason"]) == (theirs["outcome"], theirs["reason"]) == (outcome, kind)
        assert theirs["subjects"] == []


@pytest.fixture
async def country(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Country]:
    back_end = BackEnd(json_answer(GOOD))
    client = HttpClient()
    with databases(pg_server, 2) as dsns:
        async with scripted(back_end) as origin:
            locals_ = await two_locals(dsns, tmp_path)
            publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
            consumer = await start_node(locals_[0])
            services: dict[str, Service] = {}
            describer = Describer(lambda: list(services.values()), lambda *_: [])
            provider = await start_node(
                locals_[1], call_backend=Backend(client, 100_000).call, notices={NOTICE: describer.answer}
            )
            services[PEOPLE] = provider.services[PEOPLE] = Service(
                id=ServiceId(PEOPLE), kind="http", title_vi="Công dân", title_en="Citizens", sharing="shared",
                fields=FIELDS, endpoints=(Endpoint("*", "**"),),
                source=HttpSource(f"http://127.0.0.1:{origin.port}/", timeout_s=5),
            )  # fmt: skip
            country = Country(consumer, provider, back_end, Descriptions(consumer.parts.link))
            provider.services = services
            country.agree()
            yield country
            for node in (consumer, provider):
                await node.stop()
            await client.close()


async def test_a_back_end_that_is_down_is_a_defined_failure(country: Country) -> None:
    used_port = country.provider.services[PEOPLE].source
    async with scripted(country.back_end) as gone:
        pass
    country.service(source=HttpSource(f"http://127.0.0.1:{gone.port}/"))

    await country.check_failed(await country.call(), "service-failed", 502)

    country.service(source=used_port)
    await country.check_works()


async def test_a_back_end_that_fails_again_and_again_is_left_alone_and_callers_are_told_when_to_come(
    country: Country,
) -> None:
    country.back_end.says, country.back_end.then_close = b"", True
    for _ in range(FAILURES):
        await country.check_failed(await country.call(), "service-failed", 502)
    calls = country.back_end.calls

    used = await country.call()

    await country.check_failed(used, "left-alone", 503)
    assert int(used.answer.header(b"retry-after")) > 0
    assert country.back_end.calls == calls


async def test_a_back_end_slower_than_its_time_is_given_up(country: Country) -> None:
    source = country.provider.services[PEOPLE].source
    country.service(source=replace(source, timeout_s=0.1))
    country.back_end.says = None

    await country.check_failed(await country.call(), "service-timeout", 504)

    country.service(source=source)
    await country.check_works()


@pytest.mark.parametrize(
    ("says", "then_close"),
    [
        (json_answer(GOOD, length=10_000), True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nshort", True),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n{"a":1}', False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True),
        (b"", True),
    ],
    ids=["too little", "cut chunk", "two lengths", "negative", "two framings", "no HTTP", "nothing"],
)
async def test_a_back_end_that_breaks_http_gives_nothing(country: Country, says: bytes, then_close: bool) -> None:
    country.back_end.says, country.back_end.then_close = says, then_close

    await country.check_failed(await country.call(), "service-failed", 502)

    await country.check_works()


async def test_bytes_beyond_the_length_reach_nobody_and_not_the_next_caller(country: Country) -> None:
    """The answer and a second, unasked one in its tail: a smuggled answer must not be taken for the next call's."""
    country.back_end.says = json_answer({"rows": []}) + json_answer({"rows": [{"number": "999999999999"}]})

    used = await country.call()

    assert b"999999999999" not in used.answer.body
    country.back_end.says = json_answer(GOOD)
    assert json.loads((await country.call()).answer.body) == GOOD


async def test_an_answer_larger_than_a_call_may_carry_is_withheld(country: Country) -> None:
    country.back_end.says = json_answer({"rows": "x" * 200_000})

    await country.check_failed(await country.call(), "service-answer-too-large", 502)

    await country.check_works()


async def test_where_fields_are_limited_no_header_field_tells_what_was_not_granted(country: Country) -> None:
    said = (
        "Location: /people/001099012345", "Set-Cookie: who=001099012345", "ETag: digest", "X-Person: 001099012345",
        "Content-Type: application/json; person=001099012345", "Cache-Control: no-store",
    )  # fmt: skip
    country.agree(fields=("$.rows[*].name",))
    for status in ("200 OK", "302 Found", "404 Not Found"):
        country.back_end.says = answering(json.dumps(GOOD).encode(), *said, status=status)

        used = await country.call()

        assert used.answer.status == int(status[:3])
        assert PERSON.encode() not in b"".join(value for _, value in used.answer.headers)
        assert used.answer.header(b"etag") is None
        assert used.answer.header(b"cache-control") == b"no-store"


async def test_every_cookie_of_an_unlimited_answer_arrives(country: Country) -> None:
    country.back_end.says = answering(b"{}", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "Content-Type: text/plain")

    used = await country.call()

    assert [value for name, value in used.answer.headers if name == b"set-cookie"] == [b"a=1; Path=/", b"b=2"]


async def test_a_redirect_is_not_followed(country: Country) -> None:
    async with scripted(elsewhere := BackEnd(json_answer(GOOD))) as other:
        country.back_end.says = answering(b"", f"Location: http://127.0.0.1:{other.port}/", status="302 Found")
        used = await country.call()

    assert used.answer.status == 302
    assert elsewhere.calls == 0
    assert country.back_end.calls == 1
    await country.check_works()


async def test_an_error_page_of_the_back_end_stays_where_fields_are_limited(country: Country) -> None:
    country.agree(fields=("$.rows[*].name",))
    country.back_end.says = answering(f"no such person: {PERSON}".encode(), status="404 Not Found")

    used = await country.call()

    assert (used.answer.status, used.answer.body) == (404, b"")
    await country.check_works()


@pytest.mark.parametrize(
    "body",
    [b"<person>001099012345</person>", b'{"rows": [', b"", b"\xff\xfe{}", b"NaN", b'{"a": Infinity}', b"[" * 5_000],
)
async def test_what_is_not_json_is_withheld_where_fields_are_limited(country: Country, body: bytes) -> None:
    country.agree(fields=("$.rows[*].name",))
    country.back_end.says = answering(body, "Content-Type: application/json")

    await country.check_failed(await country.call(), "answer-not-json", 502)

    await country.check_works()


async def test_only_granted_fields_pass_and_masks_apply(country: Country) -> None:
    country.agree(
        fields=("$.rows[*].name", "$.rows[*].phone", "$.rows[*].born"),
        masks=(("$.rows[*].phone", "partial"), ("$.rows[*].born", "year")),
    )

    used = await country.call()

    assert json.loads(used.answer.body) == {
        "rows": [{"name": "Nguyễn Thị Bình", "phone": "091*****78", "born": "1999-01-01"}]
    }


@pytest.mark.parametrize(
    ("mask", "answer", "hidden"),
    [
        (("$.rows[*].phone", "partial"), {"rows": {"phone": "0912345678"}}, "0912345678"),
        (("$.rows[*].phone", "partial"), {"rows": "0912345678"}, "0912345678"),
        (("$.rows[*].phone", "partial"), {"rows": ["0912345678"]}, "0912345678"),
        (("$.rows[*].phone", "partial"), {"rows": [{"phone": ["0912345678"]}]}, "0912345678"),
        (("$.rows[*].phone", "partial"), {"rows": [{"phone": {"home": "0912345678"}}]}, "0912345678"),
        (("$.rows[*].born", "year"), {"rows": [{"born": "Nguyen Binh"}]}, "Nguy"),
        (("$.rows[*].height", "round"), {"rows": [{"height": "about 163"}]}, "163"),
        (("$.rows[*].secret", "partial"), {"rows": [{"secret": "0912345678"}]}, "091"),
        (("$.rows[*].secret", "drop"), {"rows": [{"secret": "0912345678"}]}, "secret"),
    ],
)
async def test_a_mask_hides_what_has_another_shape_than_published(
    country: Country, mask: tuple[str, str], answer: object, hidden: str
) -> None:
    country.agree(masks=(mask,))
    country.back_end.says = json_answer(answer)

    used = await country.call()

    assert used.answer.status == 200
    assert hidden not in used.answer.body.decode()
    await country.check_works()


@pytest.mark.parametrize("path", ["name", "$.rows[0].name", "$..name", "$.rows[?(@.a)].name", "$.rows.*", "$.", ""])
async def test_a_field_path_that_is_not_understood_lets_nothing_pass(country: Country, path: str) -> None:
    country.agree(fields=("$.rows[*].name", path or "$["))

    await country.check_failed(await country.call(), "path-not-valid", 400, outcome="refused")

    country.agree()
    await country.check_works()


async def test_a_personal_answer_without_the_person_is_withheld(country: Country) -> None:
    country.service(personal=True, subjects=(Subject("response", "$.rows[*].number", "personal_number"),))
    for answer in ({"rows": [{"name": "Nguyễn Thị Bình"}]}, {"rows": []}, [], 7, {"rows": [{"number": None}]}):
        country.back_end.says = json_answer(answer)
        await country.check_failed(await country.call(), "subject-not-found", 502)

    await country.check_works()
    leaves = [json.dumps(await node.leaves()) for node in (country.consumer, country.provider)]
    assert not any(PERSON in text for text in leaves)
    assert len((await country.provider.leaves())[-1]["subjects"]) == 1


async def test_a_service_without_a_description_has_none_to_give(country: Country) -> None:
    meta = Metaservices(country.consumer.parts, country.descriptions)

    async def asked(code: str) -> tuple[str, bytes]:
        target = f"/r1/VN/GOV/G01/dancu/getOpenAPI?serviceCode={code}".encode()
        call = read_call("GET", target, [(b"x-road-client", COUNTER.encode())], instance="VN")
        return await meta.answer(call, SystemId(COUNTER))

    with pytest.raises(WrongServiceType) as refused:
        await asked("people")
    with pytest.raises(UnknownService):
        await asked("nothing")

    assert refused.value.kind == "wrong-service-type"
    assert [await node.leaves() for node in (country.consumer, country.provider)] == [[], []]
