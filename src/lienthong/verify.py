"""Check receipts and whole logs offline, trusting nobody: one file, Python's standard library and ``cryptography``.

It shares no code with the node it checks and can be copied alone to any machine: ``python verify.py receipt FILE``.
It says what it could show, what failed and why, and, just as loudly, what can not be shown from what it was given.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import hashlib
import json
import re
import shutil
import subprocess  # only for openssl, which checks timestamps
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

# A record of format 1, letter by letter: these keys in this order, no spaces, each value of its form.
_TEXT = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\bfnrt]|u00[01][0-9a-f])[^"\\\x00-\x1f]*)*"'
_DIGEST, _HASH, _COUNT = '"sha-256:[0-9a-f]{64}"', '"[0-9a-f]{64}"', "0|[1-9][0-9]{0,15}"
RECORD_FORM = {
    "v": "1",
    "side": '"consumer"|"provider"',
    "exchange_id": _TEXT,
    "at": '"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z"',
    "node": _TEXT,
    "consumer": _TEXT,
    "provider": _TEXT,
    "resource": _TEXT,
    "way": '"call"|"table"|"query"|"event"',
    "purpose": f"null|{_TEXT}",
    "ground": f"null|{_TEXT}",
    "agreement": f'null|{{"id":{_TEXT},"version":{_TEXT},"digest":{_DIGEST}}}',
    "decision_digest": f"null|{_DIGEST}",
    "outcome": '"permitted"|"refused"|"failed"',
    "reason": f"null|{_TEXT}",
    "target_commitment": f"null|{_HASH}",
    "request_signature_digest": f"null|{_DIGEST}",
    "response_signature_digest": f"null|{_DIGEST}",
    "body_digest": f"null|{_DIGEST}",
    "bytes": f"null|{_COUNT}",
    "rows": f"null|{_COUNT}",
    "subjects": rf"\[(?:{_HASH}(?:,{_HASH})*)?\]",
    "peer_record": f"null|{_HASH}",
}
RECORD = re.compile("{" + ",".join(f'"{name}":(?P<{name}>{form})' for name, form in RECORD_FORM.items()) + "}")
# What the two signed messages cover, in this order.
REQUEST = (  # noqa: SIM905 - reads as the profile lists it
    "@method @target-uri @authority content-digest content-type lienthong-client lienthong-service lienthong-purpose"
    " lienthong-agreement lienthong-exchange"
).split()
REQUEST_OPTIONAL = (  # noqa: SIM905 - reads as the profile lists it
    "lienthong-method x-road-client x-road-id x-road-userid x-road-issue x-road-represented-party"
    " x-road-security-server x-road-request-id"
).split()
RESPONSE = ["@status", "content-digest", "lienthong-record", "signature;req"]
TAG, MOST_LIFE_S, FAR_APART_S = "lienthong-1", 60, 600
# A log is a chain of half-year shards; the last checkpoint of one names the next, whose first entry names it.
SHARD, FINAL = "[1-9][0-9]{3}h[12]", "final "
DOCUMENT_DOMAIN = b"lienthong document 1\n"
MOST_FILE_BYTES, MOST_BUNDLE_BYTES = 20_000_000, 256 * 65_537

# What each check claims, Vietnamese and English.
CLAIMS = {
    "record-form": ("Bản ghi đúng khuôn dạng 1", "The record has format 1"),
    "record-hash": ("Mã băm đúng với nội dung bản ghi", "The hash is that of the record"),
    "request-signature": ("Chữ ký trên yêu cầu là thật", "The signature on the request is genuine"),
    "request-fits": ("Yêu cầu được ký đúng là lần sử dụng này", "The signed request is about this very use"),
    "request-digest": ("Bản ghi nêu đúng chữ ký yêu cầu", "The record names the request's signature"),
    "response-signature": ("Chữ ký trên câu trả lời là thật", "The signature on the answer is genuine"),
    "response-bound": ("Câu trả lời gắn với đúng yêu cầu này", "The answer is bound to this request"),
    "response-fits": ("Câu trả lời gắn với đúng bản ghi này", "The answer is bound to this record"),
    "response-digest": ("Bản ghi nêu đúng chữ ký trả lời", "The record names the answer's signature"),
    "checkpoint": ("Điểm kiểm tra do khóa của nhật ký ký", "The checkpoint is signed by the log's key"),
    "witnesses": ("Đủ bên làm chứng đã cùng ký điểm kiểm tra", "Enough witnesses cosigned the checkpoint"),
    "inclusion": ("Bản ghi nằm trong nhật ký", "The record is in the log"),
    "directory": ("Danh bạ được ký bởi khóa gốc đã cho", "The directory is signed by the anchor given"),
    "log-key": ("Khóa của nhật ký thuộc về nút này", "The log's key belongs to this node"),
    "consumer-key": ("Khóa ký yêu cầu thuộc về bên khai thác", "The request's key belongs to the consumer"),
    "provider-key": ("Khóa ký trả lời thuộc về bên cung cấp", "The answer's key belongs to the provider"),
    "entries": ("Mọi bản ghi và tệp của nhật ký khớp nhau", "All records and files of the log agree"),
    "shards": ("Các phân đoạn của nhật ký nối tiếp nhau", "The log's shards follow each other"),
    "root": ("Gốc tính lại đúng với điểm kiểm tra", "The recomputed root is the checkpoint's"),
    "records": ("Mọi bản ghi đúng khuôn dạng 1", "Every record has format 1"),
    "pairs": ("Bản ghi của hai bên khớp nhau", "The two sides' records agree"),
    "heads": ("Nhật ký còn đủ mọi điều đã ký ở nơi khác", "The log still holds all that was signed elsewhere"),
    "stamps": ("Người ngoài đóng dấu thời gian các điểm kiểm tra", "Outsiders stamped checkpoints with the time"),
    "database": ("Cơ sở dữ liệu khớp với các tệp", "The database agrees with the files"),
    "fork": ("Nhật ký đã đưa ra hai lịch sử khác nhau", "The log showed two different histories"),
}
# Why a check failed, or why it could not be made.
REASONS = {
    "malformed": ("thiếu hoặc sai khuôn dạng", "missing or malformed"),
    "format": ("không phải biên nhận khuôn dạng 1", "not a receipt of format 1"),
    "earlier": ("chưa kiểm được vì phần cần cho bước này sai hoặc thiếu", "what it needs is wrong or missing"),
    "spelling": ("không viết đúng từng chữ như khuôn dạng 1", "not written letter by letter as format 1 is"),
    "hash": ("mã băm tính lại là {found}", "the hash comes out as {found}"),
    "node": ("biên nhận nêu nút khác với bản ghi", "the receipt names another node than the record"),
    "thumbprint": ("khóa không đúng với mã khóa", "the key does not fit its id"),
    "key": ("không phải khóa P-256", "not a P-256 key"),
    "signature": ("chữ ký sai", "the signature is wrong"),
    "covered": ("chữ ký bao trùm các phần khác với quy định", "the signature covers other parts than the profile's"),
    "profile": ("tham số chữ ký khác với quy định", "the signature's parameters are not the profile's"),
    "differs": ("{part}: chữ ký nêu {signed}, bản ghi nêu {recorded}", "{part}: signed {signed}, recorded {recorded}"),
    "open-part": ("{part}: chỉ một bên nêu", "{part}: stated on one side only"),
    "late": ("giờ ghi cách giờ ký quá xa", "recorded too far from the time of signing"),
    "digest": ("dấu vết chữ ký khác", "the signature's digest is another"),
    "other-request": ("câu trả lời cho một yêu cầu khác", "an answer to another request"),
    "other-record": ("câu trả lời nêu bản ghi {signed}", "the answer names the record {signed}"),
    "body": ("dấu vết nội dung trả lời khác", "the digest of the answer's body is another"),
    "circle": ("bản ghi bên cung cấp không thể nêu câu trả lời", "a provider's record can not name its answer"),
    "unsigned": ("cách sử dụng này không có thông điệp được ký", "this use has no signed message"),
    "withheld": (
        "bản công khai giữ lại thông điệp: nó chứng minh bản ghi và chỗ của bản ghi trong nhật ký, không chứng minh ai"
        " đã ký yêu cầu và câu trả lời; hãy lấy bản đủ ở nút của mình",
        "the public copy withholds the messages: it proves the record and its place in the log, not who signed request"
        " and answer; your own node gives the whole",
    ),
    "stripped": ("thiếu thông điệp mà bản ghi nêu", "a message that the record names is missing"),
    "no-answer": ("không có câu trả lời nào được ghi", "no answer was recorded"),
    "no-proof": ("chưa có điểm kiểm tra bao trùm bản ghi; hãy lấy lại sau một giây", "no checkpoint covers it yet"),
    "proof": ("bằng chứng sai khuôn dạng", "the proof is malformed"),
    "path": ("đường dẫn không tới gốc của điểm kiểm tra", "the path does not lead to the checkpoint's root"),
    "outside": ("vị trí nằm ngoài nhật ký", "the place lies outside the log"),
    "note": ("không phải điểm kiểm tra đúng khuôn dạng", "not a well-formed checkpoint"),
    "verifier-key": ("khóa của nhật ký sai khuôn dạng", "the log's key is malformed"),
    "not-by-log": ("không có chữ ký của {name}", "there is no signature of {name}"),
    "other-log": ("điểm kiểm tra của nhật ký khác: {origin}", "a checkpoint of another log: {origin}"),
    "self-asserted": ("chỉ do nguồn này tự nêu (cho --key, --directory)", "self-asserted (give --key, --directory)"),
    "no-key": ("không có khóa (cho --key, --directory)", "there is no key (give --key, --directory)"),
    "no-directory": ("chưa cho danh bạ (--directory)", "no directory was given (--directory)"),
    "no-anchor": ("chưa cho khóa gốc của danh bạ (--anchor)", "no anchor for the directory was given (--anchor)"),
    "other-key": ("khóa khác với khóa được tin", "another key than the trusted one"),
    "against": ("nhật ký {path} sai", "the log {path} is wrong"),
    "not-in-directory": ("danh bạ không ghi khóa này cho {who} lúc đó", "the directory had no such key of {who}"),
    "shard": ("phân đoạn {name} không nối tiếp phân đoạn trước", "the shard {name} does not follow the one before"),
    "no-shard": ("chưa thấy phân đoạn {name}", "the shard {name} is not there yet"),
    "missing": ("thiếu tệp {path}", "the file {path} is missing"),
    "tile": ("tệp {path} không khớp các bản ghi", "the file {path} does not fit the records"),
    "other-root": ("gốc tính lại là {found}", "the root comes out as {found}"),
    "entry": ("bản ghi số {index}: {vi}", "record number {index}: {en}"),
    "unpaired": ("{count} bản ghi có bên kia ở nơi khác (--against)", "{count} with a peer elsewhere (--against)"),
    "cosignature": ("chữ ký của {name} sai", "the cosignature of {name} is wrong"),
    "cosigned-before": ("{name} ký trước khi có bản ghi", "{name} cosigned before there was the record"),
    "too-few": ("{count} trên {all} đã ký; chính sách chưa đạt", "{count} of {all} cosigned; the policy is not met"),
    "own-policy": ("{count} trên {all} đã ký, theo lời biên nhận", "{count} of {all} cosigned, by the receipt's word"),
    "policy": ("chính sách sai khuôn dạng ở dòng {line}", "the policy is malformed in line {line}"),
    "shorter": ("nơi khác giữ điểm kiểm tra {size} bản ghi", "a checkpoint of {size} records is held elsewhere"),
    "other-history": ("lịch sử khác ở {size} bản ghi", "another history at {size} records"),
    "stamp": ("dấu thời gian ở {size} bản ghi không đúng", "the timestamp at {size} records does not hold"),
    "no-stamps": ("nhật ký không đưa ra dấu thời gian nào", "the log offers no timestamps"),
    "no-openssl": ("máy này không có chương trình openssl", "this machine has no program openssl"),
    "row": ("bản ghi số {index} khác với tệp", "record number {index} differs from the file"),
    "rows": ("cơ sở dữ liệu có {count} bản ghi, nhật ký có {size}", "the database has {count} records, the log {size}"),
    "one-history": ("hai điểm kiểm tra cùng một lịch sử", "both checkpoints are of one history"),
    "peer": ("{count} cặp ghi yêu cầu khác nhau", "{count} pairs record different requests"),
}  # fmt: skip


class Check(NamedTuple):
    """One claim: shown (True), broken (False), or not to be shown from what was given (None), and why."""

    name: str
    ok: bool | None
    why: str = ""
    why_en: str = ""


class Wrong(Exception):
    """A check found its claim broken."""

    ok: bool | None = False

    def __init__(self, reason: str, result: Any = None, **facts: object) -> None:
        super().__init__(reason)
        self.result = result
        self.texts = tuple(text.format(**facts) for text in REASONS[reason])


class Unshown(Wrong):
    """A check that can not be made with what is at hand; ``result`` is what later checks may still use."""

    ok = None


class NothingToCheck(Exception):
    """No file, no log, no answer: the environment's fault, not a failed check."""


@dataclass
class Report:
    """All checks in their order, and what was found on the way."""

    checks: list[Check] = field(default_factory=list[Check])
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def ok(self) -> bool:
        """Nothing is broken, and something was shown."""
        states = [check.ok for check in self.checks]
        return False not in states and True in states

    def run(self, name: str, check: Callable[..., Any], *needs: Any) -> Any:
        """Make one check and note how it ended.  Returns its result; None when it failed or a need is None."""
        ok: bool | None = True
        result, texts = None, ("", "")
        try:
            if any(need is None for need in needs):
                raise Unshown("earlier")
            result = check(*needs)
        except Wrong as wrong:
            ok, result, texts = wrong.ok, wrong.result, wrong.texts
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
            # Input of any shape arrives here; the checks below take it apart without asking first.
            ok, texts = False, REASONS["malformed"]
        self.checks.append(Check(name, ok, *texts))
        return result


class Message(NamedTuple):
    """A signed message taken apart: the parts of its base, its parameters, the signature and whose key made it."""

    parts: dict[str, str]
    params: dict[str, str]
    raw: bytes
    jwk: Mapping[str, str]


class Tree(NamedTuple):
    """A checkpoint: which shard of which log, how many entries, the root over them."""

    origin: str
    size: int
    root: bytes
    following: str | None = None
    """The origin of the next shard, when this checkpoint froze its shard."""


# --- receipts


def verify_receipt(
    receipt: Mapping[str, Any],
    *,
    directory: bytes | None = None,
    anchor: Mapping[str, str] | None = None,
    log_key: str | None = None,
    policy: str | None = None,
) -> Report:
    """Check one receipt.

    ``policy`` is a C2SP tlog-policy: which witnesses the checker trusts, and how many of them must have cosigned.

    ``directory`` is the signed directory, ``anchor`` the JWK that signs it, ``log_key`` the log's verifier key as the
    checker knows it; without them the report says for which keys it had to take the receipt's own word.
    """
    report = Report()
    record = report.run("record-form", _record_of, receipt)
    flags = receipt.get("flags")
    report.facts |= {"record": record, "synthetic": bool(receipt.get("synthetic"))}
    report.facts["flags"] = [str(flag) for flag in flags] if isinstance(flags, list) else []
    leaf = report.run("record-hash", _leaf_of, receipt)
    request = report.run("request-signature", lambda: _message(receipt, record, "request"))
    if request or report.checks[-1].ok is False:
        report.run("request-fits", _check_request, request, record)
        report.run("request-digest", _check_digest, "request", request, record)
    response = report.run("response-signature", lambda: _message(receipt, record, "response"))
    if response or report.checks[-1].ok is False:
        report.run("response-bound", _check_bound, response, request)
        report.run("response-fits", _check_response, response, record, leaf)
        if record is None or record["side"] == "consumer":  # a provider's record is signed into the answer
            report.run("response-digest", _check_digest, "response", response, record)
    tree = None
    if receipt.get("proof") is None:
        report.run("inclusion", lambda: _no("no-proof"))
    else:
        tree = report.run("checkpoint", _checkpoint_of, receipt)
        report.run("inclusion", _check_inclusion, receipt, leaf, tree)
    known = _directory(report, directory, anchor)
    if receipt.get("proof") is not None:
        stated = receipt.get("witnesses")
        at = record and datetime.fromisoformat(record["at"]).timestamp()
        _witnesses(report, tree, lambda: _split_proof(receipt["proof"])[2], (policy, known, stated), at)
    report.run("log-key", lambda one: _check_log_key(receipt["log"], one, known, log_key), record)
    for side, message in (("consumer", request), ("provider", response)):
        if message:
            report.run(f"{side}-key", lambda of, one, by=side: _check_member(of, one, by, known), message, record)
    return report


def _no(reason: str) -> None:
    raise Unshown(reason)


def _record_of(receipt: Mapping[str, Any]) -> dict[str, Any]:
    if repr(receipt["format"]) != "1":  # neither true nor "1"
        raise Wrong("format")
    if not RECORD.fullmatch(receipt["record"]):
        raise Wrong("spelling")
    record = json.loads(receipt["record"])
    if receipt["node"] != record["node"]:
        raise Wrong("node")
    return record


def _leaf_of(receipt: Mapping[str, Any]) -> bytes:
    found = _leaf_hash(receipt["record"].encode())
    if found.hex() != receipt["record_hash"]:
        raise Wrong("hash", found=found.hex())
    return found


def _message(receipt: Mapping[str, Any], record: Mapping[str, Any] | None, role: str) -> Message:
    """The request or answer of the receipt, once its signature holds over a base of the profile's form."""
    sent = (receipt["messages"] or {}).get(role)
    if sent is None:
        if receipt.get("withheld") == "messages":
            raise Unshown("withheld")
        if record is None or record[f"{role}_signature_digest"] is not None:
            raise Wrong("stripped")
        raise Unshown("no-answer" if receipt["messages"] else "unsigned")
    base, raw, jwk = _base64(sent["base"]), _base64(sent["signature"]), sent["jwk"]
    if _thumbprint(jwk) != sent["keyid"]:
        raise Wrong("thumbprint")
    if not _es256_holds(jwk, raw, base):
        raise Wrong("signature")
    *lines, last = base.decode("ascii").split("\n")
    found = [_matched(r'"([a-z@-]+)"((?:;req)?): ([!-~](?:[ -~]*[!-~])?)', line) for line in lines]
    parts = {name + req: value for name, req, value in found}
    optional = [name for name in REQUEST_OPTIONAL if name in parts]
    identifiers = " ".join(f'"{name}"{req}' for name, req, _ in found)
    covered = f'"@signature-params": ({identifiers})'
    if [name + req for name, req, _ in found] != ([*REQUEST, *optional] if role == "request" else RESPONSE):
        raise Wrong("covered")
    if not last.startswith(covered):
        raise Wrong("covered")
    params = _params(last[len(covered) :])
    if params["keyid"] != sent["keyid"]:
        raise Wrong("thumbprint")
    return Message(parts, params, raw, jwk)


def _params(text: str) -> dict[str, str]:
    found = re.findall(r';([a-z]+)=(?:([0-9]{1,12})|"([!#-\[\]-~]{1,128})")', text)
    params = {name: number or quoted for name, number, quoted in found}
    written = "".join(f";{name}={number}" if number else f';{name}="{quoted}"' for name, number, quoted in found)
    if written != text or sorted(params) != ["created", "expires", "keyid", "nonce", "tag"] or len(found) != 5:
        raise Wrong("profile")
    life = int(params["expires"]) - int(params["created"])
    if params["tag"] != TAG or not re.fullmatch("[A-Za-z0-9_-]{22}", params["nonce"]) or not 0 < life <= MOST_LIFE_S:
        raise Wrong("profile")
    return params


def _check_request(request: Message, record: Mapping[str, Any]) -> None:
    agreement = record["agreement"]
    open_part = None
    for part, signed, recorded in (
        ("exchange_id", "lienthong-exchange", record["exchange_id"]),
        ("consumer", "lienthong-client", record["consumer"]),
        ("resource", "lienthong-service", record["resource"]),
        ("purpose", "lienthong-purpose", record["purpose"]),
        ("agreement", "lienthong-agreement", f"{agreement['id']};{agreement['version']}" if agreement else None),
    ):
        said = None if request.parts[signed] == "-" else request.parts[signed]
        if said == recorded:
            continue
        # A caller may leave purpose or agreement to the provider; a refusal may record neither.
        if said is None or (recorded is None and record["outcome"] != "permitted"):
            open_part = part
        else:
            raise Wrong("differs", part=part, signed=said, recorded=recorded)
    if record["provider"] != "/".join(record["resource"].split("/")[:3]):
        raise Wrong("differs", part="provider", signed=record["resource"], recorded=record["provider"])
    if abs(datetime.fromisoformat(record["at"]).timestamp() - int(request.params["created"])) > FAR_APART_S:
        raise Wrong("late")
    if open_part:
        raise Unshown("open-part", part=open_part)


def _check_digest(role: str, message: Message, record: Mapping[str, Any]) -> None:
    if record[f"{role}_signature_digest"] != f"sha-256:{hashlib.sha256(message.raw).hexdigest()}":
        raise Wrong("digest")


def _check_bound(response: Message, request: Message) -> None:
    field_value = f"lt=:{base64.b64encode(request.raw).decode()}:"
    if response.parts["signature;req"] != field_value or response.params["nonce"] != request.params["nonce"]:
        raise Wrong("other-request")


def _check_response(response: Message, record: Mapping[str, Any], leaf: bytes) -> None:
    named = response.parts["lienthong-record"]
    if record["side"] == "provider":
        if record["peer_record"] is not None or record["response_signature_digest"] is not None:
            raise Wrong("circle")
        own = leaf.hex()
    else:
        own = record["peer_record"]
    if named != own:
        raise Wrong("other-record", signed=named)
    digest = _base64(*_matched(r"sha-256=:([A-Za-z0-9+/=]+):", response.parts["content-digest"]))
    if record["body_digest"] != f"sha-256:{digest.hex()}":
        raise Wrong("body")


def _checkpoint_of(receipt: Mapping[str, Any]) -> Tree:
    """The checkpoint in the receipt's proof, by the key the receipt names; whose key that is comes later."""
    tree = _open_checkpoint(_split_proof(receipt["proof"])[2], receipt["log"]["key"])
    if tree.origin != receipt["log"]["origin"]:
        raise Wrong("other-log", origin=tree.origin)
    return tree


def _check_inclusion(receipt: Mapping[str, Any], leaf: bytes, tree: Tree) -> None:
    """RFC 9162, section 2.1.3.2."""
    index, path, _ = _split_proof(receipt["proof"])
    if index >= tree.size:
        raise Wrong("outside")
    fn, sn, found = index, tree.size - 1, leaf
    for sibling in path:
        if sn == 0:
            raise Wrong("path")
        if fn % 2 or fn == sn:
            found = _node_hash(sibling, found)
            while fn and not fn % 2:
                fn, sn = fn // 2, sn // 2
        else:
            found = _node_hash(found, sibling)
        fn, sn = fn // 2, sn // 2
    if sn or found != tree.root:
        raise Wrong("path")


def _split_proof(text: str) -> tuple[int, list[bytes], str]:
    """Index, path and checkpoint of a tlog-proof (c2sp.org/tlog-proof)."""
    head, gap, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    if first != "c2sp.org/tlog-proof@v1" or not gap or not lines or len(lines) > 65:
        raise Wrong("proof")
    path = [_base64(line) for line in lines[1:]]
    if any(len(one) != 32 for one in path):
        raise Wrong("proof")
    return int(_matched("index (0|[1-9][0-9]{0,17})", lines[0])[0]), path, note


# --- whose keys


def _directory(report: Report, directory: bytes | None, anchor: Mapping[str, str] | None) -> Mapping[str, Any] | None:
    return report.run("directory", lambda: _open_directory(directory, anchor)) if directory is not None else None


def _open_directory(directory: bytes, anchor: Mapping[str, str] | None) -> Mapping[str, Any]:
    envelope = json.loads(directory)
    payload = _base64(envelope["payload"])
    document = json.loads(payload)
    if anchor is None:
        raise Unshown("no-anchor", result=document)
    signatures = [one["sig"] for one in envelope["signatures"] if one["keyid"] == _thumbprint(anchor)]
    if not signatures or not all(_holds(anchor, _base64(one), DOCUMENT_DOMAIN + payload) for one in signatures):
        raise Wrong("signature")
    return document


def _check_log_key(
    log: Mapping[str, Any], record: Mapping[str, Any], known: Mapping[str, Any] | None, log_key: str | None
) -> None:
    key, origin = log["key"], log["origin"]
    if not (isinstance(key, str) and isinstance(origin, str)):
        raise Wrong("malformed")
    if log_key is not None and key != _key_of_shard(log_key.strip(), origin):
        raise Wrong("other-key")
    if known is not None:
        serves = "/".join(record[record["side"]].split("/")[:3])
        for node in known["nodes"]:
            if node["id"] == record["node"] and serves in node["members"]:
                if not _is_shard(node["log_origin"], origin) or _key_of_shard(node["log_key"], origin) != key:
                    raise Wrong("other-key")
                return
        raise Wrong("not-in-directory", who=record["node"])
    if log_key is None:
        raise Unshown("self-asserted")


def _check_member(message: Message, record: Mapping[str, Any], side: str, known: Mapping[str, Any] | None) -> None:
    if known is None:
        raise Unshown("no-directory")
    who = "/".join(record[side].split("/")[:3])
    at = datetime.fromisoformat(record["at"])
    for member in known["members"]:
        for key in member["keys"] if member["id"] == who else ():
            begin, end = (datetime.fromisoformat(key[name]) for name in ("valid_from", "valid_to"))
            if key["keyid"] == _thumbprint(message.jwk) and begin <= at < end:
                return
    raise Wrong("not-in-directory", who=who)


# --- witnesses


class Quorum(NamedTuple):
    """At least ``least`` of ``members``; a member is a witness's verifier key or again a quorum."""

    least: int
    members: Sequence[str | Quorum]

    def keys(self) -> Iterator[str]:
        for one in self.members:
            yield from (one,) if isinstance(one, str) else one.keys()

    def met(self, by: Mapping[str, int]) -> bool:
        return sum(one in by if isinstance(one, str) else one.met(by) for one in self.members) >= self.least


def _witnesses(
    report: Report,
    tree: Tree | None,
    note: Callable[[], str],
    told: tuple[str | None, Mapping[str, Any] | None, Mapping[str, Any] | None],
    at: float | None = None,
) -> None:
    """Check the cosignatures by the checker's policy, else the directory's, else the one stated; none asks for none."""
    policy, known, stated = told
    listed: Mapping[str, Any] = (known or {}).get("witness_policy") or {}
    if policy is not None:
        report.run("witnesses", lambda one: _check_policy(note(), _read_policy(policy, one), at), tree)
    elif listed.get("threshold"):
        report.run(
            "witnesses", lambda one: _check_policy(note(), _listed_policy(known or {}, one), at, "too-few"), tree
        )
    elif stated and stated.get("threshold"):
        own = Quorum(int(stated["threshold"]), [str(key) for key in stated["witnesses"]])
        report.run("witnesses", lambda _: _check_policy(note(), own, at, "own-policy"), tree)


def _check_policy(note: str, quorum: Quorum, at: float | None, weak: str | None = None) -> None:
    """``weak``: what is said, as not shown, where the policy itself asks for no refusal."""
    times = _cosigned(note, [*quorum.keys()])
    for key, second in times.items():
        if at is not None and second < at - FAR_APART_S:
            raise Wrong("cosigned-before", name=key.split("+")[0])
    counted = {"count": len(times), "all": len([*quorum.keys()])}
    if weak == "own-policy":
        raise Unshown("own-policy" if quorum.met(times) else "too-few", **counted)
    if not quorum.met(times):
        raise (Unshown if weak else Wrong)("too-few", **counted)


def _cosigned(note: str, keys: Sequence[str]) -> dict[str, int]:
    """Which of the witnesses' ``keys`` cosigned, and when (c2sp.org/tlog-cosignature, Ed25519)."""
    text, signatures = _split_note(note)
    times: dict[str, int] = {}
    for key in keys:
        name, key_id, public = _note_key(key, 4)
        for by, octets in signatures:
            if by != name or octets[:4].hex() != key_id:
                continue
            second = int.from_bytes(octets[4:12], "big")
            try:
                if len(octets) != 76:
                    raise InvalidSignature
                public.verify(octets[12:], f"cosignature/v1\ntime {second}\n{text}".encode())
            except InvalidSignature:
                raise Wrong("cosignature", name=name) from None
            times[key] = second
    return times


def _listed_policy(known: Mapping[str, Any], tree: Tree) -> Quorum:
    """The directory's policy for one log: its own node's word does not count."""
    policy = known["witness_policy"]
    keys = [
        node["witness_key"]
        for node in known["nodes"]
        if node["id"] in policy["witnesses"]
        and node.get("witness_key")
        and not _is_shard(node["log_origin"], tree.origin)
    ]
    return Quorum(int(policy["threshold"]), keys)


def _read_policy(text: str, tree: Tree) -> Quorum:
    """A policy file (c2sp.org/tlog-policy); the logs it lists, if any, must hold this one."""
    named: dict[str, str | Quorum] = {"none": Quorum(0, [])}
    logs: list[str] = []
    quorum: str | Quorum | None = None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            match line.split():
                case []:
                    pass
                case [word, *_] if word.startswith("#"):
                    pass
                case ["log", key, *_]:
                    logs.append(_note_key(key, 1)[0])
                case ["witness", name, key, *_] if name not in named and key not in named.values():
                    _note_key(key, 4)
                    named[name] = key
                case ["group", name, least, *names] if name not in named and names and len({*names}) == len(names):
                    members = [named[one] for one in names]
                    count = {"any": 1, "all": len(names)}.get(least) or int(least)
                    if not 1 <= count <= len(names):
                        raise Wrong("policy", line=number)
                    named[name] = Quorum(count, members)
                case ["quorum", name] if quorum is None:
                    quorum = named[name]
                case _:
                    raise Wrong("policy", line=number)
        except (KeyError, ValueError):
            raise Wrong("policy", line=number) from None
    if quorum is None:
        raise Wrong("policy", line=0)
    if logs and not any(_is_shard(name, tree.origin) for name in logs):
        raise Wrong("other-log", origin=tree.origin)
    return Quorum(1, [quorum]) if isinstance(quorum, str) else quorum


# --- forks


def verify_fork(
    evidence: Mapping[str, Any],
    *,
    key: str | None = None,
    directory: bytes | None = None,
    anchor: Mapping[str, str] | None = None,
) -> Report:
    """Check evidence that a log showed two histories: two heads it signed, and why no one history has both."""
    report = Report()
    known = _directory(report, directory, anchor)
    own = evidence.get("log_key")
    told = report.run("log-key", lambda: _trusted_key(str(evidence["origin"]), key, known, str(own).encode()))
    heads = report.run("checkpoint", lambda one: [_open_checkpoint(note, one) for note in evidence["notes"]], told)
    report.run("fork", lambda one: _check_fork(one, evidence), heads)
    return report


def _check_fork(heads: Sequence[Tree], evidence: Mapping[str, Any]) -> None:
    small, large = heads
    if small.origin != large.origin:
        raise Wrong("other-log", origin=large.origin)
    if small.size > large.size:
        raise Wrong("malformed")
    beginning = large.root
    if small.size < large.size:
        beginning = _base64(evidence["beginning"])
        _check_consistency(small.size, large.size, beginning, large.root, [_base64(one) for one in evidence["proof"]])
    if beginning == small.root:
        raise Wrong("one-history")


def _check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162, section 2.1.4.2, for 0 < ``old`` < ``new``."""
    path = [old_root, *proof] if old & (old - 1) == 0 else [*proof]
    if old == 0 or not path or any(len(one) != 32 for one in (*path, old_root)):
        raise Wrong("path")
    fn, sn = old - 1, new - 1
    while fn % 2:
        fn, sn = fn // 2, sn // 2
    first, *rest = path
    below = above = first
    for sibling in rest:
        if sn == 0:
            raise Wrong("path")
        if fn % 2 or fn == sn:
            below, above = _node_hash(sibling, below), _node_hash(sibling, above)
            while fn and not fn % 2:
                fn, sn = fn // 2, sn // 2
        else:
            above = _node_hash(above, sibling)
        fn, sn = fn // 2, sn // 2
    if sn or below != old_root or above != new_root:
        raise Wrong("path")


# --- logs


@dataclass
class Scan:
    """What one walk over all entries of a log found; texts are as in the record, with their quotation marks."""

    size: int = 0
    """Records: all entries but those that link shards."""
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    malformed: Wrong | None = None
    providers: dict[bytes, str] = field(default_factory=dict[bytes, str])
    """Hash of each provider's record: the request's signature digest it holds."""
    roots: dict[tuple[str, int], bytes] = field(default_factory=dict[tuple[str, int], bytes])
    """Root of each shard at its size, and at those earlier sizes that were asked for."""
    links: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """First entry of each shard but the first."""
    consumers: list[tuple[bytes, str]] = field(default_factory=list[tuple[bytes, str]])
    """For each consumer's record with a counterpart: the counterpart's hash, and the request's signature digest."""


def verify_log(
    source: str,
    *,
    key: str | None = None,
    directory: bytes | None = None,
    anchor: Mapping[str, str] | None = None,
    against: Sequence[str] = (),
    policy: str | None = None,
    heads: Sequence[str] = (),
    tsa_roots: str | None = None,
    rows: Iterable[tuple[int, bytes, bytes]] | None = None,
) -> Report:
    """Check a whole log, a folder or an address: every entry, every tile, the root, the signature, the pairs.

    ``key`` is the log's verifier key as the checker knows it; ``against`` are logs in which the other sides' records
    are looked for, each checked in the same way; ``policy`` as for a receipt; ``heads`` are checkpoints of this log
    that were kept elsewhere; ``tsa_roots`` is a PEM file with the roots of time-stamping authorities (RFC 3161): each
    checkpoint that they stamped must be one of this log's history; ``rows`` are index, leaf hash and leaf of each
    record in the database, in the log's order.
    Raises NothingToCheck when there is no log.
    """
    report = Report()
    read, note = _log_at(source)
    known = _directory(report, directory, anchor)
    told = report.run("log-key", lambda: _trusted_key(note.split("\n", 1)[0], key, known, read("key", 2_000)))
    trees, notes = report.run("checkpoint", lambda: _log_checkpoints(read, note, told)) or (None, [])
    for tree, signed in zip(trees or [], notes, strict=True):
        _witnesses(report, tree, lambda text=signed: text, (policy, known, None))
    stamps = report.run("stamps", lambda: _stamps(read, str(tsa_roots))) if tsa_roots else None
    heads = [*heads, *(note for note, _ in stamps or ())]
    compared = Compared(iter(rows)) if rows is not None else None
    scan = report.run("entries", lambda all_of: _scan_all(read, all_of, {*_sizes(heads)}, compared), trees)
    report.run("root", _check_roots, trees, scan)
    if trees and (len(trees) > 1 or trees[-1].following):
        report.run("shards", _check_links, trees, scan)
    report.run("records", _check_records, scan)
    if heads:
        report.run("heads", lambda all_of, by, found: _check_heads(heads, by, all_of, found), trees, told, scan)
    if compared is not None:
        report.run("database", compared.finish, scan)
    others = [verify_log(one, directory=directory, anchor=anchor) for one in against]
    report.facts |= {
        "stamped": stamps[-1][1] if stamps else None,
        "tree": trees[-1] if trees else None,
        "trees": trees,
        "scan": scan,
    }
    report.run("pairs", lambda one: _check_pairs(report, one, others, against), scan)
    return report


def _log_at(source: str) -> tuple[Callable[[str, int], bytes | None], str]:
    for prefix in ("", "log/"):
        read = _reader(source, prefix)
        note = read("checkpoint", 1_000_000)
        if note is not None:
            return read, note.decode("utf-8", "replace")
    raise NothingToCheck(f"{source}: checkpoint?")


def _reader(source: str, prefix: str) -> Callable[[str, int], bytes | None]:
    """From a path below the log and the most bytes it may have, to what is stored there."""

    def from_folder(path: str, most: int) -> bytes | None:
        file = Path(source) / (prefix + path)
        return file.read_bytes() if file.is_file() and file.stat().st_size <= most else None

    def from_address(path: str, most: int) -> bytes | None:
        address = f"{source.rstrip('/')}/{prefix}{path}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - the scheme is checked below
                content = answer.read(most + 1)
        except urllib.error.HTTPError as refused:
            refused.close()
            if refused.code in (404, 410):
                return None
            raise
        return content if len(content) <= most else None

    return from_address if source.startswith(("http://", "https://")) else from_folder


def _trusted_key(origin: str, key: str | None, known: Mapping[str, Any] | None, own: bytes | None) -> str:
    """The verifier key to check the log with: the checker's, the directory's, or for want of both the log's own."""
    nodes = known["nodes"] if known else []
    listed = [_key_of_shard(node["log_key"], origin) for node in nodes if _is_shard(node["log_origin"], origin)]
    key = _key_of_shard(key, origin) if key else None
    if known is not None and not listed:
        raise Wrong("not-in-directory", who=origin)
    if key and listed and key not in listed:
        raise Wrong("other-key")
    if key or listed:
        return key or listed[0]
    raise Unshown("self-asserted" if own else "no-key", result=own.decode().strip() if own else None)


def _log_checkpoints(
    read: Callable[[str, int], bytes | None], note: str, key: str | None
) -> tuple[list[Tree], list[str]]:
    """The checkpoints of all shards in their order: each frozen one names the next, which lies in a folder below."""
    trees, notes = list[Tree](), list[str]()
    while True:
        tree = _read_tree(_split_note(note)[0]) if key is None else _open_checkpoint(note, _shard_key(key, note))
        if trees and tree.origin != trees[-1].following:
            raise Wrong("shard", name=tree.origin)
        if tree.origin in [one.origin for one in trees]:
            raise Wrong("shard", name=tree.origin)
        trees.append(tree)
        notes.append(note)
        following = tree.following and _is_shard(trees[0].origin, tree.following)
        told = read(f"{_folder(trees, tree.following or '')}checkpoint", 1_000_000) if following else None
        if told is None:
            break
        note = told.decode("utf-8", "replace")
    if key is None:
        raise Unshown("no-key", result=(trees, notes))
    return trees, notes


def _shard_key(key: str, note: str) -> str:
    return _key_of_shard(key, note.split("\n", 1)[0])


def _folder(trees: Sequence[Tree], origin: str) -> str:
    """Where the files of a shard lie below those of the first."""
    return "" if origin == trees[0].origin else origin.removeprefix(trees[0].origin + "/") + "/"


def _link(tree: Tree, following: str) -> bytes:
    """The first entry of the shard ``following``, whose predecessor ended as ``tree``."""
    link = {"link": 1, "shard": following, "previous": tree.origin, "size": tree.size, "root": tree.root.hex()}
    return json.dumps(link, ensure_ascii=False, separators=(",", ":")).encode()


def _check_links(trees: Sequence[Tree], scan: Scan) -> None:
    for before, tree in pairwise(trees):
        if scan.links.get(tree.origin) != _link(before, tree.origin):
            raise Wrong("shard", name=tree.origin)
    if trees[-1].following:
        raise Unshown("no-shard", name=trees[-1].following)


class Compared:
    """Rows of the database beside the entries of the files, one by one."""

    def __init__(self, rows: Iterator[tuple[int, bytes, bytes]]) -> None:
        self._rows = rows
        self._wrong: Wrong | None = None
        self.count = 0

    def take(self, index: int, entry: bytes, leaf: bytes) -> None:
        """Compare the next row with the entry at ``index``."""
        row = next(self._rows, None)
        self.count += row is not None
        if row is not None and self._wrong is None and (row[0], bytes(row[1]), bytes(row[2])) != (index, leaf, entry):
            self._wrong = Wrong("row", index=index)

    def finish(self, scan: Scan) -> None:
        """Raise what was found; rows left over are as wrong as rows missing."""
        self.count += sum(1 for _ in self._rows)
        if self._wrong:
            raise self._wrong
        if self.count != scan.size:
            raise Wrong("rows", count=self.count, size=scan.size)


def _sizes(heads: Iterable[str]) -> Iterator[tuple[str, int]]:
    """What shards and sizes the notes name, signed or not."""
    for head in heads:
        with contextlib.suppress(Wrong, ValueError, IndexError):
            tree = _read_tree(_split_note(head)[0])
            yield tree.origin, tree.size


def _check_heads(heads: Sequence[str], key: str, trees: Sequence[Tree], scan: Scan) -> None:
    shards = {tree.origin: tree for tree in trees}
    for head in heads:
        mark = _open_checkpoint(head, _key_of_shard(key, head.split("\n", 1)[0]))
        tree = shards.get(mark.origin)
        if tree is None and _is_shard(trees[0].origin, mark.origin):
            raise Wrong("shorter", size=mark.size)
        if tree is None:
            raise Wrong("other-log", origin=mark.origin)
        if mark.size > tree.size or (mark.following and not tree.following):
            raise Wrong("shorter", size=mark.size)
        if scan.roots[mark.origin, mark.size] != mark.root:
            raise Wrong("other-history", size=mark.size)


def _stamps(read: Callable[[str, int], bytes | None], roots: str) -> list[tuple[str, str]]:
    """Each stamped checkpoint and the time that the authority states, oldest first, once openssl finds all to hold."""
    listed = _json_object(read("stamps", MOST_FILE_BYTES) or b"").get("stamps")
    if not isinstance(listed, list) or not listed:
        raise Unshown("no-stamps")
    if shutil.which("openssl") is None:
        raise Unshown("no-openssl")
    found: list[tuple[str, str]] = []
    for size in sorted(int(one["size"]) for one in listed):
        token, note = read(f"stamp/{size}", 65_536), read(f"stamp/{size}/checkpoint", 65_536)
        with tempfile.TemporaryDirectory() as folder:
            reply, data = Path(folder) / "reply", Path(folder) / "note"
            reply.write_bytes(token or b"")
            data.write_bytes(note or b"")
            asked = ["openssl", "ts", "-verify", "-in", str(reply), "-data", str(data), "-CAfile", roots]
            holds = subprocess.run(asked, capture_output=True, check=False).returncode == 0
            told = subprocess.run(
                ["openssl", "ts", "-reply", "-in", str(reply), "-text"], capture_output=True, check=False
            )
        at = re.search(rb"Time stamp: ([ -~]+)", told.stdout)
        if not holds or at is None:
            raise Wrong("stamp", size=size)
        found.append(((note or b"").decode("utf-8", "replace"), f"{size}  {at[1].decode('ascii')}"))
    return found


def _scan_all(
    read: Callable[[str, int], bytes | None],
    trees: Sequence[Tree],
    sizes: set[tuple[str, int]],
    compared: Compared | None,
) -> Scan:
    """Walk over all entries of all shards; the database counts one number between two of them."""
    scan, begin = Scan(), 0
    for tree in trees:
        folder = _folder(trees, tree.origin)
        reader = read if not folder else lambda path, most, below=folder: read(below + path, most)
        wanted = {size for origin, size in sizes if origin == tree.origin}
        _scan(scan, reader, tree, wanted, compared, begin)
        begin += tree.size + 1
    return scan


def _scan(
    scan: Scan,
    read: Callable[[str, int], bytes | None],
    tree: Tree,
    sizes: set[int],
    compared: Compared | None,
    begin: int,
) -> None:
    """Walk over all entries: hash each, rebuild every tile of every level from the hashes, compare it with the file."""
    levels: list[tuple[int, list[bytes]]] = []  # for each level: number of full tiles so far, hashes after them

    def add(level: int, one: bytes) -> None:
        if level == len(levels):
            levels.append((0, []))
        full, row = levels[level]
        row.append(one)
        if len(row) == 256:
            _compare_tile(read, level, full, row)
            levels[level] = (full + 1, [])
            add(level + 1, _root_of(row))

    for index, entry in enumerate(_entries(read, tree.size)):
        leaf = _leaf_hash(entry)
        if index in sizes:
            scan.roots[tree.origin, index] = _ragged_root(levels)
        add(0, leaf)
        if index == 0 and begin:
            scan.links[tree.origin] = entry
            continue
        scan.size += 1
        _note_record(scan, begin + index, entry, leaf)
        if compared is not None:
            compared.take(begin + index, entry, leaf)
    for level, (full, row) in enumerate(levels):
        if row:
            _compare_tile(read, level, full, row)
    scan.roots[tree.origin, tree.size] = _ragged_root(levels)


def _ragged_root(levels: Sequence[tuple[int, list[bytes]]]) -> bytes:
    """The root over what the levels of tiles hold so far."""
    ragged: list[bytes] = []
    for _, row in levels:
        rest = row + ragged
        ragged = [_root_of(rest)] if rest else []
    return ragged[0] if ragged else hashlib.sha256(b"").digest()


def _entries(read: Callable[[str, int], bytes | None], size: int) -> Iterator[bytes]:
    for number in range(-(-size // 256)):
        width = min(256, size - number * 256)
        path, bundle = _stored(read, "tile/entries/", number, width, MOST_BUNDLE_BYTES)
        at = 0
        for _ in range(width):
            begin = at + 2
            at = begin + int.from_bytes(bundle[at:begin], "big")
            if at > len(bundle) or begin > len(bundle):
                raise Wrong("tile", path=path)
            yield bundle[begin:at]
        if at != len(bundle) and (width == 256 or ".p/" in path):
            raise Wrong("tile", path=path)


def _compare_tile(read: Callable[[str, int], bytes | None], level: int, number: int, row: list[bytes]) -> None:
    path, tile = _stored(read, f"tile/{level}/", number, len(row), 8192)
    if tile[: 32 * len(row)] != b"".join(row) or (".p/" in path and len(tile) != 32 * len(row)):
        raise Wrong("tile", path=path)


def _stored(
    read: Callable[[str, int], bytes | None], folder: str, number: int, width: int, most: int
) -> tuple[str, bytes]:
    """The file of a tile or bundle; where a partial one is gone, the full one that replaced it."""
    digits = f"{number:03d}" if number < 1000 else f"{number:0{-(-len(str(number)) // 3) * 3}d}"
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    whole = folder + "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
    for path in (whole,) if width == 256 else (f"{whole}.p/{width}", whole):
        content = read(path, most)
        if content is not None:
            return path, content
    raise Wrong("missing", path=whole if width == 256 else f"{whole}.p/{width}")


def _note_record(scan: Scan, index: int, entry: bytes, leaf: bytes) -> None:
    found = RECORD.fullmatch(entry.decode("utf-8", "surrogateescape"))
    if found is None:
        vi, en = REASONS["spelling"]
        scan.malformed = scan.malformed or Wrong("entry", index=index, vi=vi, en=en)
        return
    side, way, outcome, digest, peer = found.group("side", "way", "outcome", "request_signature_digest", "peer_record")
    scan.counts[side, way, outcome] += 1
    if side == '"provider"':
        scan.providers[leaf] = digest
    elif peer != "null":
        scan.consumers.append((bytes.fromhex(peer[1:-1]), digest))


def _check_roots(trees: Sequence[Tree], scan: Scan) -> None:
    for tree in trees:
        found = scan.roots[tree.origin, tree.size]
        if found != tree.root:
            raise Wrong("other-root", found=found.hex())


def _check_records(scan: Scan) -> None:
    if scan.malformed:
        raise scan.malformed


def _check_pairs(report: Report, scan: Scan, others: Sequence[Report], against: Sequence[str]) -> None:
    """Each consumer's record names its provider's; both must hold the digest of the same request's signature."""
    for path, other in zip(against, others, strict=True):
        if not other.ok:
            raise Wrong("against", path=path)
    scans: list[Scan] = [scan, *(other.facts["scan"] for other in others)]
    providers = {named: digest for one in scans for named, digest in one.providers.items()}
    pairs = [(named, digest) for one in scans for named, digest in one.consumers if named in providers]
    torn = sum(providers[named] != digest for named, digest in pairs)
    alone = len({*scan.providers} - {named for named, _ in pairs})
    alone += sum(named not in providers for named, _ in scan.consumers)
    report.facts["pairs"] = len(pairs)
    if torn:
        raise Wrong("peer", count=torn)
    if alone:
        raise Unshown("unpaired", count=alone)


# --- hashes, notes, keys


def _is_shard(log: str, origin: str) -> bool:
    """Whether ``origin`` is the log of that name, or one of its shards."""
    return re.fullmatch(f"{re.escape(log)}(?:/{SHARD})?", origin) is not None


def _key_of_shard(verifier_key: str, origin: str) -> str:
    """The verifier key of a log as its shard ``origin`` bears it; unchanged where that is no shard of it."""
    name, _, rest = verifier_key.strip().partition("+")
    if name == origin or not _is_shard(name, origin):
        return verifier_key.strip()
    octets = _base64(rest.partition("+")[2])
    key_id = hashlib.sha256(origin.encode() + b"\n" + octets).hexdigest()[:8]
    return f"{origin}+{key_id}+{base64.b64encode(octets).decode()}"


def _leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _root_of(row: Sequence[bytes]) -> bytes:
    """The hash of a subtree whose leaves are ``row`` (RFC 9162, section 2.1.1)."""
    while len(row) > 1:
        pairs = [_node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        row = [*pairs, row[-1]] if len(row) % 2 else pairs
    return row[0]


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Text and signature lines of a signed note (c2sp.org/signed-note)."""
    text, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f]", note):
        raise Wrong("note")
    lines = [_matched(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)", line) for line in tail[:-1].split("\n")]
    return text + "\n", [(name, _base64(signature)) for name, signature in lines]


def _read_tree(text: str) -> Tree:
    origin, size, root, *rest = text.split("\n")
    following = [line.removeprefix(FINAL) for line in rest if line.startswith(FINAL)]
    count = int(_matched("(0|[1-9][0-9]{0,17})", size)[0])
    tree = Tree(origin, count, _base64(root), following[0] if following else None)
    if not origin or len(tree.root) != 32 or rest[-1:] != [""] or "" in rest[:-1]:
        raise Wrong("note")
    return tree


def _open_checkpoint(note: str, verifier_key: str) -> Tree:
    """The checkpoint in a signed note; every signature under the key's name and id must hold, and one must be there."""
    name, key_id, public = _note_key(verifier_key, 1)
    text, signatures = _split_note(note)
    made = [one[4:] for by, one in signatures if by == name and one[:4].hex() == key_id]
    if not made:
        raise Wrong("not-by-log", name=name)
    for one in made:
        try:
            public.verify(one, text.encode())
        except InvalidSignature:
            raise Wrong("signature") from None
    return _read_tree(text)


def _note_key(verifier_key: str, kind: int) -> tuple[str, str, ed25519.Ed25519PublicKey]:
    """Name, id and key of a verifier key of a log (``kind`` 1) or a witness (4)."""
    name, key_id, encoded = _matched(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", verifier_key.strip())
    octets = _base64(encoded)
    fits = hashlib.sha256(f"{name}\n".encode() + octets).hexdigest()[:8] == key_id
    if len(octets) != 33 or octets[0] != kind or not fits:
        raise Wrong("verifier-key")
    return name, key_id, ed25519.Ed25519PublicKey.from_public_bytes(octets[1:])


def _thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638."""
    required = {name: jwk[name] for name in (("crv", "kty", "x", "y") if jwk["kty"] == "EC" else ("crv", "kty", "x"))}
    digest = hashlib.sha256(json.dumps(required, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _es256_holds(jwk: Mapping[str, str], raw: bytes, message: bytes) -> bool:
    if (jwk["kty"], jwk["crv"]) != ("EC", "P-256"):
        raise Wrong("key")
    x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "="), "big") for name in ("x", "y"))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    if len(raw) != 64:
        return False
    try:
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key.verify(der, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _holds(jwk: Mapping[str, str], raw: bytes, message: bytes) -> bool:
    if jwk["kty"] == "EC":
        return _es256_holds(jwk, raw, message)
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "="))
        key.verify(raw, message)
    except InvalidSignature:
        return False
    return True


def _base64(text: str) -> bytes:
    octets = base64.b64decode(text, validate=True)
    if base64.b64encode(octets).decode() != text:
        raise binascii.Error("another spelling")
    return octets


def _matched(pattern: str, text: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ValueError(text)
    return found.groups()


# --- the command


def render(report: Report) -> str:
    """The report for people: Vietnamese first, English below, every check a line with its mark and why."""
    lines = [*_facts(report), ""]
    for check in report.checks:
        vi, en = CLAIMS[check.name]
        mark = {True: "✓", False: "✗", None: "?"}[check.ok]
        lines.append(f"{mark} {vi}{f': {check.why}' if check.why else ''}")
        lines.append(f"  {en}{f': {check.why_en}' if check.why_en else ''}")
    shown, broken, unshown = (sum(check.ok is state for check in report.checks) for state in (True, False, None))
    if report.ok and unshown:
        vi, en = (
            "ĐÚNG, nhưng các điều có dấu ? phải tin lời người đưa",
            "GOOD, but what is marked ? rests on others' word",
        )
    else:
        vi, en = ("ĐÚNG", "GOOD") if report.ok else ("SAI", "WRONG") if broken else ("CHƯA RÕ", "UNKNOWN")
    lines += [
        "",
        f"KẾT QUẢ: {vi}. {shown} điều đã chứng minh, {broken} điều sai, {unshown} điều chưa thể chứng minh.",
        f"RESULT: {en}. {shown} shown, {broken} broken, {unshown} not shown.",
    ]
    # A receipt is a stranger's text: nothing in it may steer the terminal.
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in "\n".join(lines))


def _facts(report: Report) -> Iterator[str]:
    if record := report.facts.get("record"):
        yield f"{record['consumer']} <- {record['resource']}"
        yield f"{record['at']}  {record['way']}  {record['outcome']}  {record['side']}  {record['node']}"
        if report.facts["synthetic"]:
            yield "Dữ liệu giả lập, theo lời biên nhận / Synthetic data, says the receipt"
    if flags := report.facts.get("flags"):
        yield f"Thiếu khi đó, theo lời biên nhận / Missing then, says the receipt: {', '.join(flags)}"
    if stamped := report.facts.get("stamped"):
        yield f"Dấu thời gian mới nhất / newest timestamp: {stamped}"
    for tree in report.facts.get("trees") or []:
        yield f"{tree.origin}  {tree.size} bản ghi / records  {tree.root.hex()}"
    if scan := report.facts.get("scan"):
        yield from (f"  {'  '.join(kind)}  {count}".replace('"', "") for kind, count in sorted(scan.counts.items()))
        yield f"  {report.facts.get('pairs', 0)} cặp / pairs"


def main(argv: Sequence[str] | None = None) -> int:
    """``receipt FILE``, ``log DIR_OR_URL`` or ``fork FILE``; 0 good, 1 a check failed, 2 usage or environment."""
    parser = argparse.ArgumentParser(
        prog="verify", description="Kiểm tra biên nhận và nhật ký, ngoại tuyến / Check receipts and logs, offline."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, source in (("fork", "FILE"), ("receipt", "FILE"), ("log", "DIR_OR_URL")):
        command = verbs.add_parser(verb)
        command.add_argument("source", metavar=source)
        command.add_argument("--directory", metavar="FILE", help="danh bạ đã ký / the signed directory")
        command.add_argument("--anchor", metavar="FILE", help="khóa gốc của danh bạ (JWK) / the directory's key")
        command.add_argument("--key", help="khóa của nhật ký, hoặc tệp chứa khóa / the log's verifier key, or its file")
        if verb != "fork":
            command.add_argument("--policy", metavar="FILE", help="chính sách làm chứng / the witness policy (C2SP)")
    command.add_argument("--against", metavar="DIR_OR_URL", action="append", default=[], help="nhật ký bên kia")
    command.add_argument("--tsa-roots", metavar="FILE", help="chứng thư gốc của bên đóng dấu thời gian / its roots")
    command.add_argument("--head", metavar="FILE", action="append", default=[], help="điểm kiểm tra giữ ở nơi khác")
    asked = parser.parse_args(argv)
    try:
        directory = _file(asked.directory) if asked.directory else None
        anchor = _json_object(_file(asked.anchor)) if asked.anchor else None
        key = _file(asked.key).decode().strip() if asked.key and "+" not in asked.key else asked.key
        trust: dict[str, Any] = {"directory": directory, "anchor": anchor}
        policy = _file(asked.policy).decode() if asked.verb != "fork" and asked.policy else None
        if asked.verb == "log":
            heads = [_file(one).decode() for one in asked.head]
            report = verify_log(
                asked.source,
                key=key,
                against=asked.against,
                policy=policy,
                heads=heads,
                tsa_roots=asked.tsa_roots,
                **trust,
            )
        elif asked.verb == "fork":
            report = verify_fork(_json_object(_file(asked.source)), key=key, **trust)
        else:
            report = verify_receipt(_json_object(_file(asked.source)), log_key=key, policy=policy, **trust)
    except (OSError, HTTPException, NothingToCheck, UnicodeDecodeError) as missing:
        print(f"Không đọc được / Can not be read: {missing}", file=sys.stderr)
        return 2
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    print(render(report))
    return 0 if report.ok else 1


def _file(path: str) -> bytes:
    with Path(path).open("rb") as opened:
        content = opened.read(MOST_FILE_BYTES + 1)
    if len(content) > MOST_FILE_BYTES:
        raise OSError(f"{path}: > {MOST_FILE_BYTES} bytes")
    return content


def _json_object(content: bytes) -> dict[str, Any]:
    """The receipt in a file; what is no JSON object becomes an empty one, which fails its first check."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
