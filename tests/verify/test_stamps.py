"""`verify log --tsa-roots`: what outsiders stamped with the time is one history, and the log still goes on from it."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lienthong import verify
from lienthong.access.stamp import read_roots, stamp
from tests.verify.receipts import Country, Node, make_exchange
from tests.verify.test_receipt import states
from tests.witness.authority import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = Authority(tmp_path_factory.mktemp("tsa") / "one")
    yield made
    made.close()


def stamped(authority: Authority, note: bytes) -> bytes:
    async def send(query: bytes) -> bytes:
        return authority.reply(query)

    return asyncio.run(stamp(note, read_roots(authority.root.read_bytes()), send, datetime.now(UTC))).token


def grown(uses: int) -> Country:
    country = Country()
    for _ in range(uses):
        country.consumer.append(make_exchange(country).consumer_leaf)
    return country


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[str]:
    """The files below /log/ of a web server."""

    class Door(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.removeprefix("/log/"))
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/log"
        server.shutdown()
        thread.join()


def with_stamps(node: Node, *stamps: tuple[int, bytes, bytes]) -> dict[str, bytes]:
    """The log's files and its stamps: size, note, token."""
    listed = json.dumps({"stamps": [{"size": size, "at": "-"} for size, _, _ in stamps]}).encode()
    files = dict(node.files) | {"stamps": listed}
    for size, note, token in stamps:
        files |= {f"stamp/{size}": token, f"stamp/{size}/checkpoint": note}
    return files


def test_stamped_checkpoints_are_of_the_logs_history_and_their_time_is_told(authority: Authority):
    country = grown(3)
    early = country.consumer.files["checkpoint"]
    token = stamped(authority, early)
    country.consumer.append(*(make_exchange(country).consumer_leaf for _ in range(4)))
    late = country.consumer.files["checkpoint"]
    stamps = (3, early, token), (7, late, stamped(authority, late))

    with served(with_stamps(country.consumer, *stamps)) as address:
        report = verify.verify_log(address, key=country.consumer.verifier_key, tsa_roots=str(authority.root))
        code = verify.main(["log", address, "--key", country.consumer.verifier_key, "--tsa-roots", str(authority.root)])

    assert report.ok, report
    assert states(report)["stamps"] is True
    assert states(report)["heads"] is True
    assert code == 0
    told = verify.render(report)
    assert f"7  {datetime.now(UTC):%b}" in told
    assert "GMT" in told


def test_a_log_that_was_rewritten_after_a_stamp_is_found(authority: Authority):
    country = grown(3)
    stamped_note = country.consumer.files["checkpoint"]
    token = stamped(authority, stamped_note)
    other = Country(consumer=Node("nut-h31", "VN/GOV/H31", log_private=country.consumer.log_private))
    other.consumer.append(*(make_exchange(other).consumer_leaf for _ in range(5)))

    with served(with_stamps(other.consumer, (3, stamped_note, token))) as address:
        report = verify.verify_log(address, key=country.consumer.verifier_key, tsa_roots=str(authority.root))

    assert not report.ok
    assert states(report)["stamps"] is True, "the stamp is genuine"
    assert states(report)["heads"] is False, "the log is another one now"


@pytest.mark.parametrize("lie", ["of another note", "nobody trusts", "no token"])
def test_a_stamp_that_does_not_hold_is_named(authority: Authority, tmp_path: Path, lie: str):
    country = grown(3)
    note = country.consumer.files["checkpoint"]
    token = stamped(authority, note + b"x" if lie == "of another note" else note)
    roots = authority.root
    if lie == "nobody trusts":
        stranger = Authority(tmp_path / "stranger")
        stranger.close()
        roots = stranger.root
    files = with_stamps(country.consumer, (3, note, b"" if lie == "no token" else token))

    with served(files) as address:
        report = verify.verify_log(address, key=country.consumer.verifier_key, tsa_roots=str(roots))

    assert states(report)["stamps"] is False
    assert not report.ok


def test_a_log_without_stamps_is_said_to_have_none(authority: Authority, tmp_path: Path):
    country = grown(2)

    report = verify.verify_log(
        str(country.consumer.save(tmp_path / "log")), key=country.consumer.verifier_key, tsa_roots=str(authority.root)
    )

    assert states(report)["stamps"] is None
    assert report.ok


def test_a_receipt_says_what_was_missing_then_and_steers_no_terminal():
    country = Country()
    receipt = country.use()[0] | {"flags": ["witnesses-missing", "\x1b[31mred"]}

    told = verify.render(verify.verify_receipt(receipt))

    assert "witnesses-missing" in told
    assert "\x1b" not in told
