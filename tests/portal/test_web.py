"""The shared web code: one shape for every failure, one id through log and answer, headers on everything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from lienthong.errors import Problem
from lienthong.portal.app import error_page
from lienthong.web import answer_language, install, page_language

Browser = httpx.AsyncClient


class TooBusy(Problem):
    kind = "test-too-busy"
    status = 503
    side = "provider"
    title = "The provider is busy"


async def _busy(request: Request) -> JSONResponse:
    raise TooBusy("{service} takes no more calls.", mend="Wait.", service="citizen", retry_after_s=7)


async def _broken(request: Request) -> JSONResponse:
    raise ValueError("secret 001099012345")


async def _too_much(request: Request) -> JSONResponse:
    raise HTTPException(413)


async def _languages(request: Request) -> JSONResponse:
    return JSONResponse({"page": page_language(request), "answer": answer_language(request)})


async def _breaks_off(request: Request) -> StreamingResponse:
    async def body():
        yield b"half"
        raise ValueError("cut")

    return StreamingResponse(body())


def application() -> Starlette:
    app = Starlette(
        routes=[
            Route("/busy", _busy),
            Route("/broken", _broken),
            Route("/cut", _breaks_off),
            Route("/languages", _languages),
            Route("/too-much", _too_much),
            Route("/en/languages", _languages),
            Route("/things/{number}", _languages),
        ]
    )
    install(app, error_page=error_page)
    return app


def visit(scheme: str = "http", *, strict: bool = False) -> Browser:
    transport = httpx.ASGITransport(application(), raise_app_exceptions=strict)
    return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://node.example")


@pytest.fixture
async def client() -> AsyncIterator[Browser]:
    async with visit() as visitor:
        yield visitor


async def test_a_program_gets_problem_details_with_side_mend_and_retry_after(client: Browser):
    answer = await client.get("/busy", headers={"accept": "application/json", "accept-language": "en"})

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "7"
    body = answer.json()
    assert body["type"] == "urn:lienthong:problem:test-too-busy"
    assert (body["side"], body["mend"], body["detail"]) == ("provider", "Wait.", "citizen takes no more calls.")
    assert body["correlation"] == answer.headers["x-correlation-id"]


async def test_a_person_gets_the_same_as_a_page(client: Browser):
    answer = await client.get("/busy", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-correlation-id"] in answer.text
    assert "citizen takes no more calls." in answer.text


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "text/html;q=0.1, application/json", "text/html;q=0", ""]
)
async def test_who_does_not_ask_for_a_page_gets_json(client: Browser, accept: str):
    answer = await client.get("/busy", headers={"accept": accept})

    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_unforeseen_failure_tells_its_correlation_id_and_nothing_else(client: Browser):
    answer = await client.get("/broken", headers={"accept": "application/json"})

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:lienthong:problem:internal"
    assert answer.json()["correlation"] == answer.headers["x-correlation-id"]
    assert "001099012345" not in answer.text


async def test_a_failure_after_the_first_byte_cuts_the_connection_instead_of_looking_whole():
    async with visit(strict=True) as strict:
        with pytest.raises(ValueError, match="cut"):
            await strict.get("/cut")


@pytest.mark.parametrize(
    ("address", "status", "kind"), [("/nowhere", 404, "no-such-page"), ("/busy", 405, "wrong-method")]
)
async def test_an_unknown_address_or_method_is_a_problem_too(client: Browser, address: str, status: int, kind: str):
    answer = await client.post(address, headers={"accept": "application/json"})

    assert answer.status_code == status
    assert answer.json()["type"] == f"urn:lienthong:problem:{kind}"


async def test_another_refusal_of_the_http_layer_names_its_status(client: Browser):
    answer = await client.get("/too-much", headers={"accept-language": "en"})

    assert answer.json()["type"].rpartition(":")[2] == "request-refused"
    assert answer.json()["http_status"] == 413


async def test_every_answer_carries_the_security_headers(client: Browser):
    for address in ("/languages", "/busy", "/broken", "/nowhere"):
        headers = (await client.get(address)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "script-src" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "strict-transport-security" not in headers


async def test_over_https_browsers_are_told_to_stay_there():
    async with visit("https") as secure:
        assert (await secure.get("/languages")).headers["strict-transport-security"]


async def test_a_callers_own_correlation_id_is_kept_when_it_is_harmless(client: Browser):
    kept = await client.get("/languages", headers={"x-correlation-id": "0192f3a1-7c00-7abc"})
    replaced = await client.get("/languages", headers={"x-correlation-id": "<b>x</b>"})

    assert kept.headers["x-correlation-id"] == "0192f3a1-7c00-7abc"
    assert "<" not in replaced.headers["x-correlation-id"]


@pytest.mark.parametrize(
    ("address", "accept_language", "page", "answer"),
    [
        ("/languages", "", "vi", "vi"),
        ("/languages", "en-GB,en;q=0.9", "vi", "en"),
        ("/languages", "fr, vi;q=0.5, en;q=0.4", "vi", "vi"),
        ("/languages?lang=en", "vi", "en", "en"),
        ("/languages?lang=vi", "en", "vi", "vi"),
        ("/languages?lang=zz", "", "vi", "vi"),
        ("/en/languages", "vi", "en", "en"),
    ],
)
async def test_the_address_decides_a_pages_language_and_the_callers_wish_a_machines_answer(
    client: Browser, address: str, accept_language: str, page: str, answer: str
):
    told = await client.get(address, headers={"accept-language": accept_language})

    assert told.json() == {"page": page, "answer": answer}


async def test_the_log_line_names_the_route_but_never_the_address(client: Browser):
    with structlog.testing.capture_logs() as lines:
        await client.get("/things/001099012345?name=Nguyen")

    line = next(line for line in lines if line["event"] == "web.request")
    assert line["status"] == 200
    assert "001099012345" not in json.dumps(lines)
    assert "Nguyen" not in json.dumps(lines)
