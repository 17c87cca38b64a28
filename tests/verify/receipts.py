"""A small country for the tests of the verifiers: two members, two nodes with logs, a directory, and uses of data.

Everything is made by the packages that make it in a node (messages, records, tiles, notes); only the network, the
database and the decision are left out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lienthong.access.models import AgreementRef, Record, digest, record_hash, write_record
from lienthong.trust import note
from lienthong.trust.digest import content_digest
from lienthong.trust.documents import sign_document
from lienthong.trust.keys import generate_ed25519, generate_es256, key_id, public_jwk
from lienthong.trust.messages import ABSENT, Signed, sign_request, sign_response
from lienthong.trust.note import Checkpoint, VerifierKey
from lienthong.trust.proof import write_proof
from lienthong.trust.tiles import TileReader, tiles_for

AT = datetime(2026, 11, 22, 9, 30, 15, 250_000, UTC)
NONCE = "AAECAwQFBgcICQoLDA0ODw"
BODY = b'{"full_name":"Tr\xe1\xba\xa7n Th\xe1\xbb\x8b B","born":"1990-01-01"}'


@dataclass
class Node:
    """A node with its member's key and its log."""

    id: str
    member: str
    key: Any = field(default_factory=generate_es256)
    log_private: Any = field(default_factory=generate_ed25519)
    leaves: list[bytes] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"{self.id}.example/log"

    @property
    def jwk(self) -> dict[str, str]:
        return public_jwk(self.key)

    @property
    def keyid(self) -> str:
        return key_id(self.jwk)

    @property
    def verifier_key(self) -> str:
        return str(VerifierKey(self.origin, self.log_private.public_key()))

    def append(self, *leaves: bytes) -> None:
        """Write leaves, tiles and a new checkpoint, as the sequencer does."""
        self.files.update(tiles_for(len(self.leaves), leaves, self.files.get))
        self.leaves += leaves
        root = TileReader(self.files.get, len(self.leaves)).root()
        self.publish(Checkpoint(self.origin, len(self.leaves), root))

    def publish(self, checkpoint: Checkpoint) -> None:
        self.files["checkpoint"] = note.sign_checkpoint(checkpoint, self.log_private, self.origin)
        self.files["key"] = self.verifier_key.encode()

    def proof(self, leaf: bytes) -> str:
        index = self.leaves.index(leaf)
        return write_proof(
            index, TileReader(self.files.get, len(self.leaves)).inclusion_proof(index), self.files["checkpoint"]
        )

    def save(self, folder: Path) -> Path:
        """The log as files under ``folder``."""
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return folder


@dataclass
class Country:
    """Hải Phòng asks Bộ Công an; both log."""

    consumer: Node = field(default_factory=lambda: Node("nut-h31", "VN/GOV/H31"))
    provider: Node = field(default_factory=lambda: Node("nut-g01", "VN/GOV/G01"))
    anchor_key: Any = field(default_factory=generate_es256)

    @property
    def anchor(self) -> dict[str, str]:
        return public_jwk(self.anchor_key)

    def directory_document(self) -> dict[str, Any]:
        """The parts of the directory that a verifier reads."""
        return {
            "format": "1",
            "members": [
                {
                    "id": node.member,
                    "keys": [
                        {
                            "keyid": node.keyid,
                            "jwk": node.jwk,
                            "node": node.id,
                            "valid_from": (AT - timedelta(days=30)).isoformat(),
                            "valid_to": (AT + timedelta(days=300)).isoformat(),
                        }
                    ],
                }
                for node in (self.consumer, self.provider)
            ],
            "nodes": [
                {"id": node.id, "members": [node.member], "log_origin": node.origin, "log_key": node.verifier_key}
                for node in (self.consumer, self.provider)
            ],
        }

    def directory(self, document: dict[str, Any] | None = None) -> bytes:
        payload = json.dumps(document or self.directory_document()).encode()
        return sign_document(payload, self.anchor_key, key_id(self.anchor), "ES256")

    def use(self, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """One use of data: the consumer's receipt and the provider's.  ``changes`` are fields of the record."""
        exchange = make_exchange(self, **changes)
        self.provider.append(b"an earlier entry", exchange.provider_leaf, b"a later entry")
        self.consumer.append(exchange.consumer_leaf)
        return self.receipt("consumer", exchange), self.receipt("provider", exchange)

    def receipt(self, side: str, exchange: Exchange) -> dict[str, Any]:
        """The receipt a node gives out for its record."""
        node = self.consumer if side == "consumer" else self.provider
        leaf = exchange.consumer_leaf if side == "consumer" else exchange.provider_leaf
        return {
            "format": 1,
            "node": node.id,
            "synthetic": True,
            "record": leaf.decode(),
            "record_hash": record_hash(leaf).hex(),
            "messages": {
                "request": evidence(exchange.request, self.consumer),
                "response": evidence(exchange.response, self.provider),
            },
            "withheld": None,
            "log": {"origin": node.origin, "key": node.verifier_key},
            "proof": node.proof(leaf),
        }


@dataclass
class Exchange:
    """What one use leaves behind."""

    request: Signed
    response: Signed
    consumer_leaf: bytes
    provider_leaf: bytes


def evidence(signed: Signed, node: Node) -> dict[str, Any]:
    return {
        "base": base64.b64encode(signed.base).decode(),
        "signature": base64.b64encode(signed.raw).decode(),
        "keyid": node.keyid,
        "jwk": node.jwk,
    }


def make_exchange(country: Country, *, open_purpose: bool = False, optional: bool = True, **changes: Any) -> Exchange:
    """Sign a request, record it, sign the answer, record that: the order in which nodes do it."""
    consumer, provider = country.consumer, country.provider
    blank = Record(
        side="provider",
        exchange_id=str(uuid.uuid4()),
        at=AT,
        node=provider.id,
        consumer=f"{consumer.member}/motcua",
        provider=provider.member,
        resource=f"{provider.member}/dancu/citizen",
        way="call",
        purpose="HP-HOTICH-01",
        ground="law:59/2025#12",
        agreement=AgreementRef("urn:lienthong:agreement:7", "2", digest(b"agreement")),
        decision_digest=digest(b"decision"),
        outcome="permitted",
        target_commitment=hashlib.sha256(b"salt and target").hexdigest(),
        body_digest=digest(BODY),
        bytes=len(BODY),
        rows=1,
        subjects=(hashlib.sha256(b"salt and subject").hexdigest(),),
    )
    record = replace(blank, **changes)
    agreement = record.agreement
    headers = {
        "content-digest": content_digest(b"{}"),
        "content-type": "application/json",
        "lienthong-client": record.consumer,
        "lienthong-service": record.resource,
        "lienthong-purpose": ABSENT if open_purpose or record.purpose is None else record.purpose,
        "lienthong-agreement": f"{agreement.id};{agreement.version}" if agreement else ABSENT,
        "lienthong-exchange": record.exchange_id,
    }
    if optional:
        headers |= {"lienthong-method": "GET", "x-road-issue": "HS-2026-17"}
    request = sign_request(
        consumer.key,
        consumer.keyid,
        method="POST",
        target_uri=f"https://{provider.id}.example:5500/x1/{record.resource}/lookup",
        authority=f"{provider.id}.example:5500",
        headers=headers,
        created=int(AT.timestamp()),
        nonce=NONCE,
    )
    provider_leaf = write_record(replace(record, request_signature_digest=digest(request.raw)))
    response = sign_response(
        provider.key,
        provider.keyid,
        status=200,
        headers={"content-digest": content_digest(BODY), "lienthong-record": record_hash(provider_leaf).hex()},
        request_signature_header=request.signature,
        nonce=NONCE,
        created=int(AT.timestamp()),
    )
    consumer_leaf = write_record(
        replace(
            record,
            side="consumer",
            node=consumer.id,
            request_signature_digest=digest(request.raw),
            response_signature_digest=digest(response.raw),
            rows=None,
            subjects=(),
            peer_record=record_hash(provider_leaf).hex(),
        )
    )
    return Exchange(request, response, consumer_leaf, provider_leaf)
