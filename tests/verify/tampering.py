"""Everything that can be changed in a receipt, each as one named variant: what both verifiers must refuse.

A variant is (name, receipt).  Where a change is made good as far as the changer could, by recomputing hashes or by
rewriting a whole log, the name says so.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from lienthong.access.models import record_hash
from lienthong.trust import es256
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.verify.receipts import Country, Node

Receipt = dict[str, Any]


def edit(receipt: Receipt, change: Callable[[Receipt], object]) -> Receipt:
    other = copy.deepcopy(receipt)
    change(other)
    assert other != receipt
    return other


def other_value(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case None:
            return "x"
        case bool():
            return not value
        case int():
            return value + 1
        case str() if value.startswith("sha-256:"):
            return "sha-256:" + "ab" * 32
        case str():
            return value[:-1] + ("0" if value[-1:] != "0" else "1")
        case list():
            return [*value, "ab" * 32]
        case dict():
            return {**value, next(iter(value)): "x"}


def with_record(receipt: Receipt, record: dict[str, Any]) -> Receipt:
    """The receipt with another record, its hash recomputed."""
    leaf = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return {**receipt, "record": leaf, "record_hash": record_hash(leaf.encode()).hex()}


def record_changes(receipt: Receipt) -> Iterator[tuple[str, dict[str, Any]]]:
    record = json.loads(receipt["record"])
    for name, value in record.items():
        yield f"record {name}", {**record, name: other_value(value)}
        if value not in (None, []):
            yield f"record {name} emptied", {**record, name: None}
    for name, value in record["agreement"].items():
        yield f"record agreement.{name}", {**record, "agreement": {**record["agreement"], name: other_value(value)}}


def tampered(receipt: Receipt) -> Iterator[tuple[str, Receipt]]:
    """All variants that must fail without any directory at hand."""
    yield from _plain_edits(receipt)
    for name, record in record_changes(receipt):
        leaf = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        yield name, {**receipt, "record": leaf}
        yield f"{name}, hash recomputed", with_record(receipt, record)
    yield from _spellings(receipt)
    for role in ("request", "response"):
        yield from _message_changes(receipt, role)
    yield from _proof_changes(receipt)


def _plain_edits(receipt: Receipt) -> Iterator[tuple[str, Receipt]]:
    yield "empty", {}
    for name in ("format", "record", "record_hash", "log", "node"):
        yield f"{name} missing", edit(receipt, lambda r, name=name: r.pop(name))
    yield "format 2", {**receipt, "format": 2}
    yield "format as text", {**receipt, "format": "1"}
    yield "node", {**receipt, "node": "nut-x"}
    yield "record_hash", {**receipt, "record_hash": other_value(receipt["record_hash"])}
    yield "record_hash in capitals", {**receipt, "record_hash": receipt["record_hash"].upper()}
    yield "messages stripped", {**receipt, "messages": None}
    yield "messages missing", edit(receipt, lambda r: r.pop("messages"))
    yield "request stripped", edit(receipt, lambda r: r["messages"].update(request=None))
    yield (
        "roles exchanged",
        edit(
            receipt,
            lambda r: r["messages"].update(
                request=receipt["messages"]["response"], response=receipt["messages"]["request"]
            ),
        ),
    )
    if json.loads(receipt["record"])["side"] == "consumer":
        yield "response stripped", edit(receipt, lambda r: r["messages"].update(response=None))
    yield "log origin", edit(receipt, lambda r: r["log"].update(origin="other.example/log"))
    yield "log key of another log", edit(receipt, lambda r: r["log"].update(key=Node("nut-x", "x").verifier_key))
    yield "log key id", edit(receipt, lambda r: r["log"].update(key=receipt["log"]["key"].replace("+", "+00", 1)))
    for name in ("origin", "key"):
        yield f"log {name} missing", edit(receipt, lambda r, name=name: r["log"].pop(name))
    for wrong in (None, 7, "text", [], {"format": 1}):
        yield f"record is {wrong!r}", {**receipt, "record": wrong}
        yield f"log is {wrong!r}", {**receipt, "log": wrong}
        if wrong is not None:
            yield f"messages is {wrong!r}", {**receipt, "messages": wrong}
            yield f"proof is {wrong!r}", {**receipt, "proof": wrong}


def _spellings(receipt: Receipt) -> Iterator[tuple[str, Receipt]]:
    """The same JSON values, spelt otherwise, with the hash that fits the spelling."""
    text, record = receipt["record"], json.loads(receipt["record"])
    turned = dict(reversed(record.items()))
    for name, leaf in (
        ("keys in another order", json.dumps(turned, separators=(",", ":"))),
        ("a key twice", text[:-1] + ',"outcome":"permitted"}'),
        ("a key added", text[:-1] + ',"note":"x"}'),
        ("a key dropped", text.replace('"rows":null,', "").replace('"rows":1,', "")),
        ("spaces", text.replace(",", ", ", 1)),
        ("a newline behind", text + "\n"),
        ("escaped letters", text.replace('"v":1', '"\\u0076":1')),
        ("no JSON", text[:-1]),
    ):
        yield f"record with {name}", {**receipt, "record": leaf, "record_hash": record_hash(leaf.encode()).hex()}


def _message_changes(receipt: Receipt, role: str) -> Iterator[tuple[str, Receipt]]:
    message = receipt["messages"][role]
    base = base64.b64decode(message["base"]).decode()
    lines = base.split("\n")

    def put(**parts: Any) -> Receipt:
        return edit(receipt, lambda r: r["messages"][role].update(parts))

    for at, line in enumerate(lines):
        name = line.split('"')[1]
        changed = [*lines[:at], line[:-1] + ("0" if line[-1] != "0" else "1"), *lines[at + 1 :]]
        yield f"{role} base {name}", put(base=base64.b64encode("\n".join(changed).encode()).decode())
        dropped = [*lines[:at], *lines[at + 1 :]]
        yield f"{role} base without {name}", put(base=base64.b64encode("\n".join(dropped).encode()).decode())
    raw = bytearray(base64.b64decode(message["signature"]))
    for at in (0, 31, 32, 63):
        flipped = bytes(byte ^ (1 if n == at else 0) for n, byte in enumerate(raw))
        yield f"{role} signature byte {at}", put(signature=base64.b64encode(flipped).decode())
    yield f"{role} signature cut", put(signature=base64.b64encode(raw[:-1]).decode())
    yield f"{role} signature of noughts", put(signature=base64.b64encode(bytes(64)).decode())
    yield f"{role} signature spelt otherwise", put(signature=message["signature"].rstrip("="))
    yield f"{role} keyid", put(keyid=other_value(message["keyid"]))
    yield f"{role} jwk x", put(jwk={**message["jwk"], "x": message["jwk"]["y"]})
    yield f"{role} jwk kind", put(jwk={**message["jwk"], "kty": "OKP"})
    yield f"{role} jwk missing", put(jwk={})
    stranger = generate_es256()
    jwk = public_jwk(stranger)
    yield f"{role} key of a stranger", put(jwk=jwk, keyid=key_id(jwk))
    signed = base64.b64encode(es256.sign(stranger, base.encode())).decode()
    yield f"{role} signed by a stranger", put(jwk=jwk, keyid=key_id(jwk), signature=signed)
    yield f"{role} signed by a stranger in the member's name", put(jwk=jwk, signature=signed)
    renamed = base.replace(message["keyid"], key_id(jwk))
    signed = base64.b64encode(es256.sign(stranger, renamed.encode())).decode()
    yield (
        f"{role} signed by a stranger under its own name",
        put(jwk=jwk, keyid=key_id(jwk), signature=signed, base=base64.b64encode(renamed.encode()).decode()),
    )
    for name in ("base", "signature", "keyid", "jwk"):
        yield f"{role} {name} missing", edit(receipt, lambda r, name=name: r["messages"][role].pop(name))
    yield f"{role} base is no base64", put(base="*" + message["base"][1:])


def _proof_changes(receipt: Receipt) -> Iterator[tuple[str, Receipt]]:
    proof = receipt["proof"]
    lines = proof.split("\n")
    for at, line in enumerate(lines[:-1]):
        if line:
            changed = [*lines[:at], ("x" if line[0] != "x" else "y") + line[1:], *lines[at + 1 :]]
            yield f"proof line {at}", {**receipt, "proof": "\n".join(changed)}
        yield f"proof without line {at}", {**receipt, "proof": "\n".join([*lines[:at], *lines[at + 1 :]])}
    index = int(lines[1].split()[1])
    yield "proof index", {**receipt, "proof": proof.replace(f"index {index}", f"index {index + 1}")}
    yield "proof index far outside", {**receipt, "proof": proof.replace(f"index {index}", "index 999999")}
    yield "proof index spelt otherwise", {**receipt, "proof": proof.replace(f"index {index}", f"index 0{index}")}
    extra = base64.b64encode(bytes(32)).decode()
    yield "proof with a hash more", {**receipt, "proof": proof.replace(f"index {index}", f"index {index}\n{extra}")}
    yield "proof of nothing", {**receipt, "proof": ""}
    yield "proof without checkpoint", {**receipt, "proof": proof.split("\n\n")[0] + "\n\n"}
    size = proof.split("\n\n")[1].split("\n")[1]
    yield "checkpoint size", {**receipt, "proof": proof.replace(f"\n{size}\n", f"\n{int(size) + 1}\n")}
    yield (
        "checkpoint extended",
        {**receipt, "proof": proof.replace(f"\n{size}\n", f"\n{size}\n", 1)[::-1][::-1] + "x\n"},
    )


def rewritten_by_the_log(country: Country, receipt: Receipt) -> Iterator[tuple[str, Receipt]]:
    """Changes a node's owner makes to its own record, with a log rewritten from the first leaf and signed anew."""
    for name, record in record_changes(receipt):
        changed = with_record(receipt, record)
        node = country.consumer if receipt["node"] == country.consumer.id else country.provider
        forged = Node(node.id, node.member, node.key, node.log_private)
        forged.append(b"an earlier entry", changed["record"].encode())
        yield name, {**changed, "proof": forged.proof(changed["record"].encode())}
