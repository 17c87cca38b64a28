"""``lienthong api``: everything a node's API can do, listed and called by name, with a token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import typer

from lienthong.cli.call import readable
from lienthong.cli.terminal import ask, language, note, say, show_json, show_problem_body
from lienthong.cli.where import WhichNode, demo_country
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate

app = typer.Typer(add_completion=False)
TOKEN_VARIABLE = "LIENTHONG_TOKEN"  # noqa: S105 - the name of a variable


class NoSuchCall(Problem):
    """The node's API has no call of that name, or it takes other fields."""

    kind: ClassVar[str] = "no-such-call"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such call")


@app.command()
def api(
    name: Annotated[str, typer.Argument(help="Call, such as cases/open, or /v1/... to read; none: list them.")] = "",
    fields: Annotated[list[str] | None, typer.Argument(help="field=value, as the list shows them.")] = None,
    portal: Annotated[
        str, typer.Option("--portal", envvar="LIENTHONG_PORTAL", help="Public address of the node.")
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with the token; else $LIENTHONG_TOKEN.")
    ] = None,
    key: Annotated[str, typer.Option("--key", help="Idempotency-Key: sent twice, done once.")] = "",
    token: Annotated[str, typer.Option(envvar=TOKEN_VARIABLE, hidden=True)] = "",
) -> None:
    """List what a node's API can do, or do it.

    lienthong api --portal http://127.0.0.1:8080
    lienthong api cases/open kind=quality-ticket owner=VN/GOV/G01 title="Mã xã thiếu số 0" --key phieu-2026-11-23
    lienthong api /v1/requests
    """
    address = portal or _demo_portal()
    headers = {"Accept": "application/json"}
    secret = token_file.read_text("utf-8").strip() if token_file else token
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    if name.startswith("/"):
        _show(ask(address, "GET", name, headers=headers))
        return
    described = _description(address)
    if not name:
        _list(described)
        return
    operation = described.get(f"/v1/{name}", {}).get("post")
    if operation is None:
        raise NoSuchCall(
            T("This node has no call {name}."), mend=T("List them: lienthong api --portal {url}"),
            name=name, url=address,
        )  # fmt: skip
    body = typed_fields(_schema(operation), fields or [])
    headers |= {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
    _show(ask(address, "POST", f"/v1/{name}", body=json.dumps(body).encode(), headers=headers))


def typed_fields(schema: Mapping[str, Any], told: Sequence[str]) -> dict[str, object]:
    """``field=value`` words as the JSON values that ``schema`` asks for.  Raises NoSuchCall."""
    properties, body = cast("dict[str, dict[str, Any]]", schema.get("properties", {})), dict[str, object]()
    for word in told:
        name, equals, value = word.partition("=")
        kinds = properties.get(name, {}).get("type")
        if not equals or kinds is None:
            raise NoSuchCall(
                T("{word} is none of the fields: {names}."), mend=T("Write each as field=value."),
                word=word, names=", ".join(properties),
            )  # fmt: skip
        listed: list[str] = kinds if isinstance(kinds, list) else [kinds]
        body[name] = _typed(listed, value)
    return body


def _typed(kinds: Sequence[str], value: str) -> object:
    if "array" in kinds:
        return [part for part in value.split(",") if part]
    if "integer" in kinds and value.lstrip("-").isdigit():
        return int(value)
    if "boolean" in kinds and value in ("true", "false"):
        return value == "true"
    return value


def _description(address: str) -> dict[str, Any]:
    status, _, content = ask(address, "GET", f"/openapi.json?lang={language()}")
    told = readable(content)
    if status != 200 or not isinstance(told, dict):
        raise WhichNode(
            T("{url} does not describe an API."),
            mend=T("Name the public address of a node with --portal."),
            url=address,
        )
    return cast("dict[str, Any]", told).get("paths", {})


def _list(described: Mapping[str, Any]) -> None:
    for path, operations in described.items():
        operation = operations.get("post")
        if operation is None or "x-lienthong-session-only" not in operation:
            continue
        schema = _schema(operation)
        fields = [
            f"{name}=" if name in schema["required"] else f"[{name}=]" for name in schema["properties"]
        ]  # fmt: skip
        alone = translate(T("in the portal alone"), language()) if operation["x-lienthong-session-only"] else ""
        print(f"{path.removeprefix('/v1/'):28} {operation['summary']}{f' ({alone})' if alone else ''}")
        print(f"{'':28} {' '.join(fields)}")
    say(T("To read:"))
    for path, operations in described.items():
        if "get" in operations and "{" not in path and not path.endswith((".csv", ".xlsx")):
            print(f"{path:28} {operations['get']['summary']}")


def _schema(operation: Mapping[str, Any]) -> dict[str, Any]:
    return operation["requestBody"]["content"]["application/json"]["schema"]


def _show(answered: tuple[int, Mapping[str, str], bytes]) -> None:
    status, headers, content = answered
    told = readable(content)
    if status >= 400:
        body: Mapping[str, object] = cast("Mapping[str, object]", told) if isinstance(told, dict) else {"detail": told}
        fields = body.get("fields")
        code = show_problem_body(body)
        for name, words in cast("dict[str, str]", fields).items() if isinstance(fields, dict) else ():
            note("  {name}: {words}", name=name, words=words)
        raise typer.Exit(code)
    show_json(told)
    if headers.get("idempotency-replayed"):
        note(T("This was done before; here is the first answer again."))


def _demo_portal() -> str:
    country = demo_country()
    for node in country["nodes"] if country else []:
        if node.get("public_url"):
            return str(node["public_url"])
    raise WhichNode(
        T("The command does not know which node to ask."), mend=T("Name its public address: --portal https://...")
    )
