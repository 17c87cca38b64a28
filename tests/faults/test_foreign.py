"""What concerns two members is nothing to a third: every route of every listener, asked with every foreign id.

The routes are read off the listeners themselves: a new one is asked too, and one whose shape is new fails until it is
said here what a foreign id is to it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.routing import Mount, Route

from lienthong.access.models import Record, write_record
from lienthong.directory.models import MemberId
from lienthong.exchange.signed import Message, RefusedByProvider
from lienthong.node.desk import DESK
from lienthong.storage.server import PostgresServer
from tests.faults.foreign import CURIOUS, OTHER, Scene, Site, client_paths, headers_of, one_at_a_time, open_scene
from tests.use.databases import databases
from tests.use.forged import BODY, CITIZEN
from tests.use.nodes import COUNTER, POLICE, PURPOSE

pytestmark = [pytest.mark.integration, pytest.mark.faults]

SHOWN_TO_ALL = {
    "digest": {"agreement digest"},  # agreements are public, as they were signed
    "record_hash": {"record", "their record"},  # a record's public receipt holds digests alone
    "id": {"member", "system", "service"},  # the directory, and services that are not private
}
"""Path parameter to the kinds of foreign id that it shows to everybody, by decision; secrets stand in none."""
ASKED = ("exchange", "member", "system", "record", "agreement", "service", "person", "q")
"""What a curious client may add to any address."""


@pytest.fixture
async def scene(
    pg_server: PostgresServer, tmp_path: Path, node_sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    with databases(pg_server, 2) as dsns:
        async with open_scene(dsns, tmp_path, node_sandbox, monkeypatch) as opened:
            yield opened


def paths_to_try(scene: Scene, route: Route) -> list[tuple[str, frozenset[str]]]:
    """Addresses of one route with every foreign id in every place, and which kinds of id may be shown there."""
    ids = scene.ids
    instance, kind, member, system, name = CITIZEN.split("/")
    known = {
        "instance": instance, "kind": kind, "member": member, "system": system, "name": name, "share": "g01",
        "schema": system, "table": name, "reading": ids["reading"], "file": ids["file"],
        "digest": ids["agreement digest"], "record_hash": ids["record"], "path": ids["record"], "size": "1",
        "id": ids["system"], "shard": "2026a", "provider": "citizens", "language": "vi",
    }  # fmt: skip
    # What pages behind a sign-in name: without one nobody comes near it, whatever stands there.
    known |= dict.fromkeys(
        (
            "draft",
            "person",
            "proposal",
            "secret",
            "key",
            "code",
            "deed",
            "entry",
            "paper",
            "case",
            "pid",
            "person_id",
            "evidence",
        ),
        "7",
    )
    names = sorted(route.param_convertors)
    unknown = set(names) - known.keys()
    if unknown:
        pytest.fail(f"say in tests/faults/test_foreign.py what a foreign id is to {unknown} of {route.path}")
    if not names:
        return [
            (route.path + "?" + "&".join(f"{field}={quote(value, safe='')}" for field in ASKED), frozenset())
            for value in ids.values()
        ]
    tried = []
    for values in one_at_a_time(known, names, ids):
        written = route.path
        for param, convertor in route.param_convertors.items():
            value = values[param] if type(convertor).__name__ != "IntegerConvertor" else "7"
            (place,) = re.findall(rf"\{{{param}(?::\w+)?\}}", written)
            written = written.replace(place, quote(value, safe="/" if ":path" in place else ""))
        shown = {
            kind for param in names for kind in SHOWN_TO_ALL.get(param, ()) if values[param] == ids[kind]
        }  # fmt: skip
        tried.append((written, frozenset(shown)))
    return list(dict.fromkeys(tried))


async def faults_of(scene: Scene, site: Site, route: Route) -> list[str]:
    """What a curious one got: asked as nobody, and where that is not enough as another reader of the same tables."""
    method = next(iter((route.methods or {"GET"}) - {"HEAD"}))
    body = b"{}" if method == "POST" else b""
    own = set(route.param_convertors) <= {"share", "schema"}  # the other reader has a table beside the foreign one
    found: list[str] = []
    for path, shown in paths_to_try(scene, route):
        answers = [await site.public.request(method, path, content=body, follow_redirects=False)]
        if answers[0].status_code == 401:
            headers = {"Authorization": f"Bearer {scene.token}"}
            answers.append(await site.public.request(method, path, headers=headers, content=body))
        for answer in answers:
            told = [name for name in scene.told(answer.content) if scene.secrets[name].decode() not in path]
            found += [f"{method} {path} tells {told}"] if told else []
            found += [f"{method} {path}: {answer.status_code}"] if answer.status_code >= 500 else []
            if route.param_convertors and not shown and not own and answer.status_code < 300:
                found.append(f"{method} {path} shows something of a foreign id: say why in SHOWN_TO_ALL")
    return found


async def test_every_public_route_refuses_every_foreign_id(scene: Scene) -> None:
    found: list[str] = []
    for site in (scene.ours, scene.theirs):
        routes = [route for route in site.web.app.routes if not isinstance(route, Mount)]
        strange = [route for route in routes if not isinstance(route, Route)]
        assert not strange, f"neither route nor mount of static files: {strange}"
        assert len(routes) > 20
        # One page in two languages is one answerer.
        for route in {route.endpoint: route for route in routes if isinstance(route, Route)}.values():
            found += await faults_of(scene, site, route)

    assert found == [], "\n".join(found)


def client_questions(scene: Scene) -> dict[str, list[tuple[str, str, bytes]]]:
    """What another of the node's systems may try at each path of the client listener."""
    ids = [quote(value, safe="") for value in scene.ids.values()]
    asked = [f"?{field}={value}" for field in ASKED for value in ids]
    wishes = [json.dumps({"agreement": value, "service": value, "purpose": PURPOSE}).encode()
              for value in scene.ids.values()]  # fmt: skip
    return {
        "/listClients": [("GET", f"/listClients{field}", b"") for field in asked],
        "/sql": [("POST", "/sql", json.dumps({"sql": "SELECT full_name FROM g01.dancu.citizen"}).encode())],
        "/share/profile": [("POST", "/share/profile", wish) for wish in wishes],
        "/events": [("GET", "/events", b""), *(("POST", "/events", wish) for wish in wishes)],
        "/events/": [("GET", f"/events/{value}", b"") for value in ids],
        "/livez": [("GET", f"/livez{field}", b"") for field in asked],
        "/readyz": [("GET", "/readyz", b"")],
        "/metrics": [("GET", "/metrics", b"")],
        "/monitoring": [("GET", f"/monitoring{field}", b"") for field in asked],
        "/reconciliation": [("GET", f"/reconciliation{field}", b"") for field in asked],
        "/log/receipt/": [("GET", f"/log/receipt/{value}", b"") for value in ids],
        "/r1": [
            *(("GET", f"/r1/{value}", b"") for value in scene.ids.values()),
            ("POST", f"/r1/{CITIZEN}", BODY),
            *(("GET", f"/r1/{CITIZEN.rsplit('/', 1)[0]}/{meta}", b"")
              for meta in ("listMethods", "allowedMethods", "getOpenAPI?serviceCode=citizen",
                           "getOpenAPI?serviceCode=hidden-register")),
        ],
    }  # fmt: skip


OWN_FACTS = {"/listClients", "/livez", "/readyz", "/metrics", "/monitoring", "/reconciliation", "/events"}
"""Paths that answer well to whoever asks: with everybody's facts or the asking system's own."""


async def test_every_path_of_the_client_listener_keeps_one_members_things_from_the_other(scene: Scene) -> None:
    questions = client_questions(scene)
    unasked = client_paths(scene.ours.local) - questions.keys()
    assert not unasked, f"say in tests/faults/test_foreign.py what another system may try at {unasked}"
    for path, tried in questions.items():
        for method, target, body in tried:
            answer = await scene.ours.client.request(method, target, content=body, headers=headers_of(CURIOUS))

            told = [name for name in scene.told(answer.content) if scene.secrets[name] not in target.encode() + body]
            assert not told, (method, target, told)
            if path == "/r1":  # X-Road's statuses are its own
                assert "x-road-error" in answer.headers or "Methods" in target or "getOpenAPI" in target, target
            elif path == "/log/receipt/" and answer.status_code == 200:  # its digests, as everybody gets them
                assert answer.json()["messages"] is None
            elif path not in OWN_FACTS or method == "POST":
                assert answer.status_code in (400, 403, 404), (method, target, answer.status_code, answer.text)


async def test_a_system_still_gets_what_is_its_own(scene: Scene) -> None:
    """The refusals above are of the foreigner, not of everybody."""
    for path in (f"/events/{scene.ids['subscription']}", f"/log/receipt/{scene.ids['record']}"):
        assert (await scene.ours.client.get(path, headers=headers_of(COUNTER))).status_code == 200, path
    receipt = (await scene.ours.client.get(f"/log/receipt/{scene.ids['record']}", headers=headers_of(COUNTER))).json()
    assert receipt["messages"] is not None


def peer_questions(scene: Scene) -> dict[str, list[tuple[str, bytes]]]:
    """What a third member may try on each path: the service it names, and a body with a foreign id."""
    theirs = Record(
        side="consumer", exchange_id=scene.ids["exchange"], at=datetime(2026, 7, 1, tzinfo=UTC), node="nut-h24",
        consumer=COUNTER, provider=POLICE, resource=CITIZEN, way="call", purpose=None, ground=None,
        agreement=None, decision_digest=None, outcome="permitted",
    )  # fmt: skip
    leaves = [write_record(record).decode() for record in (theirs, replace(theirs, consumer=CURIOUS))]
    service = f"{POLICE}/{DESK}"
    kinds = ("ContractAgreementVerificationMessage", "ContractNegotiationTerminationMessage")
    pids = (scene.ids["agreement"], "urn:uuid:00000000-0000-4000-8000-00000000abcd")
    named = [json.dumps({"agreement": value}).encode() for value in scene.ids.values()]
    return {
        "agreements": [
            (f"{service}/agreements", json.dumps({"@type": kind, "consumerPid": pid, "providerPid": pid}).encode())
            for kind in kinds for pid in pids
        ],
        "describe": [("VN/GOV/G01/dancu/describe", b"{}")],
        "profiles": [(f"{service}/profiles", body) for body in named],
        "halves": [(f"{service}/halves", json.dumps({"leaves": [leaf]}).encode()) for leaf in leaves],
        "corrections": [
            (f"{service}/corrections", json.dumps({
                "service": CITIZEN, "key": "personal_number", "reason": "không khớp",
                "rows": [{"key": "001099012345", "fields": ["full_name"]}],
            }).encode()),
        ],
        "event-head": [(CITIZEN, b"")],
        "directory-news": [(f"{service}/directory-news", b"{}")],
        "query": [(CITIZEN, b'{"sql": "SELECT full_name FROM citizen"}')],
        "events": [(CITIZEN, b'{"feed": "", "after": 0, "limit": 10}')],
        CITIZEN: [(CITIZEN, BODY)],
    }  # fmt: skip


async def test_a_third_member_learns_nothing_of_two_others_on_any_peer_path(scene: Scene) -> None:
    link, questions = scene.ours.gateway.seen.link, peer_questions(scene)
    paths = {*scene.theirs.gateway.seen.notices, "query", "events", CITIZEN}
    assert paths <= questions.keys(), f"say what a third member may try on {paths - questions.keys()}"
    for path in sorted(paths):
        for service, body in questions[path]:
            try:
                exchanged = await link.send(
                    Message(
                        consumer=CURIOUS, service=service, target=b"/x1/" + path.encode(),
                        exchange_id=str(uuid.uuid4()), purpose=PURPOSE, agreement=None, body=body,
                    ),
                    MemberId(POLICE), deadline_s=60.0, max_body=1_000_000,
                )  # fmt: skip
                status, told = exchanged.answer.status, exchanged.answer.body
            except RefusedByProvider as refused:
                status, told = refused.answer_status, json.dumps(refused.body).encode()

            described = status == 200 and path in ("describe", "halves", "directory-news")
            assert described or status in (400, 403, 404), (path, status, told)
            assert not [name for name in scene.told(told) if scene.secrets[name] not in body], (path, told)
            assert path != "halves" or status != 200 or json.loads(told) == {"halves": [[]]}, told
    assert str(OTHER) != str(COUNTER)
