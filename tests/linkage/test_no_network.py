"""Nothing that reads addresses, codes or figures asks a network: the interpreter itself refuses every socket."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOOK = """
import asyncio, sys

loop = asyncio.new_event_loop()  # its own pair of sockets is made before the door is shut


def refuse(event, _):
    if event.startswith("socket."):
        print("ASKED", event, flush=True)
        raise OSError("the network is shut")


sys.addaudithook(refuse)
"""
COMMAND = """
from typer.testing import CliRunner
from lienthong.cli.{module} import app
done = CliRunner().invoke(app, {arguments!r})
assert done.exit_code == 0, (done.output, done.exception)
"""
PYTHON = """
from datetime import date
from lienthong.linkage.address import resolve
assert resolve("12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM", date(2026, 11, 23)).status == "exact"
assert resolve("Phường Sài Gòn, TP.HCM", date(2025, 6, 30)).status == "split"
"""
SQL = """
import duckdb
from lienthong.entities.functions import add_functions
with duckdb.connect() as connection:
    add_functions(connection)
    found = connection.execute("SELECT address_code('P. Bến Nghé, Q.1, TP.HCM', DATE '2026-11-23')").fetchall()
assert found == [("26740",)], found
"""
API = """
from starlette.requests import Request
from lienthong.portal.addresses import told


async def body():
    return {"type": "http.request", "body": b'{"addresses": ["P. Ben Nghe, Q1, TP.HCM"]}'}

scope = {"type": "http", "method": "POST", "path": "/v1/addresses", "query_string": b"", "headers": [], "state": {}}
answer = loop.run_until_complete(told(Request(scope, body)))
assert b'"26740"' in answer.body, answer.body
"""
ASKING = 'import socket\nsocket.create_connection(("127.0.0.1", 9))'


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HOOK + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [PYTHON, SQL, API], ids=["Python", "DuckDB", "JSON API"])
def test_an_address_is_read_with_every_socket_refused(code: str) -> None:
    done = run(code)

    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_commands_work_with_every_socket_refused(tmp_path: Path) -> None:
    addresses, figures = tmp_path / "in.csv", tmp_path / "figures.csv"
    addresses.write_text("diachi\nP5 Q3 HCM\n", "utf-8")
    figures.write_text("ma,a,b,c,weight\n31,1,2,5,10\n30,3,4,7,30\n", "utf-8")
    days = ["--from", "2025-06-30", "--to", "2025-07-01"]
    commands = [
        ("address", ["P5 Q3 HCM", "--as-of", "2026-01-01", "--json"]),
        ("address", ["--file", str(addresses), "--column", "diachi", "--out", str(tmp_path / "out.csv")]),
        ("id", ["0100109106", "G01"]),
        ("rekey", [str(figures), "--code-column", "ma", *days, "--sum", "a,b", "--mean", "c:weight"]),
    ]

    done = run("".join(COMMAND.format(module=module, arguments=arguments) for module, arguments in commands))

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "27154" in (tmp_path / "out.csv").read_text("utf-8-sig")


def test_a_socket_would_be_seen() -> None:
    done = run(ASKING)

    assert done.returncode != 0
    assert "ASKED socket." in done.stdout
