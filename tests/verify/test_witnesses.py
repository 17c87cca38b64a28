"""What witnesses signed counts for exactly as much as the reader's policy says, in Python and in the browser alike."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lienthong import verify
from lienthong.trust.cosign import CosignerKey, cosign, cosigned
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import split_note
from tests.verify.receipts import AT, Country

NOW = int(AT.timestamp())


@dataclass
class Witnessed:
    """A country whose consumer's log three witnesses may cosign."""

    country: Country = field(default_factory=Country)
    keys: list[Ed25519PrivateKey] = field(default_factory=lambda: [generate_ed25519() for _ in range(3)])

    def __post_init__(self) -> None:
        self.receipt_, _ = self.country.use()

    def name(self, n: int) -> str:
        return f"vn.lienthong/nut-{n}/witness"

    def key(self, n: int) -> str:
        return str(CosignerKey(self.name(n), self.keys[n].public_key()))

    def receipt(self, *by: int, at: int = NOW + 1, threshold: int | None = 2) -> dict[str, Any]:
        """The receipt with cosignatures by these witnesses, stating its policy."""
        head, note = self.receipt_["proof"].split("\n\n", 1)
        text, _ = split_note(note.encode())
        signed = cosigned(note.encode(), [cosign(text, self.keys[n], self.name(n), at) for n in by]).decode()
        stated = {"threshold": threshold, "witnesses": [self.key(n) for n in range(3)], "cosigned": []}
        return (
            self.receipt_ | {"proof": f"{head}\n\n{signed}"} | ({"witnesses": stated} if threshold is not None else {})
        )

    def policy(self, quorum: str = "all-of-us", group: str = "2 A B C") -> str:
        lines = [f"witness {name} {self.key(n)}" for n, name in enumerate("ABC")]
        return "\n".join(["# whom we trust", *lines, "", f"group all-of-us {group}", f"quorum {quorum}"]) + "\n"

    def directory(self, threshold: int = 2) -> dict[str, Any]:
        document = self.country.directory_document()
        own, other = document["nodes"]
        own["witness_key"], other["witness_key"] = self.key(0), self.key(1)
        third = {
            "id": "nut-g03",
            "members": [],
            "log_origin": "nut-g03.example/log",
            "log_key": "",
            "witness_key": self.key(2),
        }
        document["nodes"].append(third)
        document["witness_policy"] = {"threshold": threshold, "witnesses": [one["id"] for one in document["nodes"]]}
        return document


WORLD = Witnessed()


def state(receipt: dict[str, Any], **trust: Any) -> tuple[bool | None, str]:
    report = verify.verify_receipt(receipt, **trust)
    found = [check for check in report.checks if check.name == "witnesses"]
    return (found[0].ok, found[0].why_en) if found else (None, "not asked")


@pytest.mark.parametrize(("by", "holds"), [((0, 1, 2), True), ((0, 2), True), ((1,), False), ((), False)])
def test_with_a_policy_file_the_quorum_decides(by, holds):
    assert state(WORLD.receipt(*by), policy=WORLD.policy())[0] is holds


def test_groups_nest_and_words_stand_for_numbers():
    three = WORLD.receipt(0, 1, 2)
    two = WORLD.receipt(0, 1)
    assert state(three, policy=WORLD.policy(group="all A B C"))[0] is True
    assert state(two, policy=WORLD.policy(group="all A B C"))[0] is False
    assert state(two, policy=WORLD.policy(group="any A B C"))[0] is True
    assert state(two, policy=WORLD.policy(quorum="B"))[0] is True
    assert state(two, policy=WORLD.policy(quorum="C"))[0] is False
    assert state(WORLD.receipt(), policy=WORLD.policy(quorum="none"))[0] is True
    nested = (
        WORLD.policy().replace("quorum", "group both all all-of-us\nquorum").replace("quorum all-of-us", "quorum both")
    )
    assert state(two, policy=nested)[0] is True


def test_the_directorys_policy_counts_no_word_of_the_logs_own_node():
    country = WORLD.country
    trust = {"directory": country.directory(WORLD.directory()), "anchor": country.anchor}

    assert state(WORLD.receipt(1, 2), **trust) == (True, "")
    assert state(WORLD.receipt(0, 1), **trust) == (None, "1 of 2 cosigned; the policy is not met")


def test_a_receipts_own_policy_is_only_its_word():
    assert state(WORLD.receipt(0, 1)) == (None, "2 of 3 cosigned, by the receipt's word")
    assert state(WORLD.receipt(0)) == (None, "1 of 3 cosigned; the policy is not met")
    assert state(WORLD.receipt(0, threshold=None)) == (None, "not asked")
    assert state(WORLD.receipt(0, threshold=0)) == (None, "not asked")


def forged(receipt: dict[str, Any], change) -> dict[str, Any]:
    """The receipt with its last cosignature's octets changed."""
    *lines, last, end = receipt["proof"].split("\n")
    dash, name, encoded = last.split(" ")
    octets = base64.b64encode(change(base64.b64decode(encoded))).decode()
    return receipt | {"proof": "\n".join([*lines, f"{dash} {name} {octets}", end])}


FORGERIES = {
    "another signature": forged(WORLD.receipt(0, 1), lambda o: o[:-1] + bytes([o[-1] ^ 1])),
    "another time": forged(WORLD.receipt(0, 1), lambda o: o[:4] + (NOW + 9).to_bytes(8, "big") + o[12:]),
    "cut": forged(WORLD.receipt(0, 1), lambda o: o[:-1]),
    "a bare Ed25519 signature": forged(WORLD.receipt(0, 1), lambda o: o[:4] + o[12:]),
    "signed long before the record": WORLD.receipt(0, 1, at=NOW - 700),
}
POLICIES = {
    "empty": "",
    "no quorum": WORLD.policy().replace("quorum", "# quorum"),
    "two quorums": WORLD.policy() + "quorum A\n",
    "unknown name": WORLD.policy(quorum="D"),
    "unknown member": WORLD.policy(group="2 A B D"),
    "too many": WORLD.policy(group="4 A B C"),
    "none wanted": WORLD.policy(group="0 A B C"),
    "one twice": WORLD.policy(group="2 A A B"),
    "no member": WORLD.policy(group="2"),
    "key twice": WORLD.policy().replace("group", f"witness D {WORLD.key(0)}\ngroup"),
    "name twice": WORLD.policy().replace("witness B", "witness A"),
    "a log's key": WORLD.policy().replace(WORLD.key(0), WORLD.country.consumer.verifier_key),
    "another log": f"log {WORLD.country.provider.verifier_key}\n" + WORLD.policy(),
    "unknown word": WORLD.policy() + "trust me\n",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_cosignature_spoils_the_receipt_whoever_states_the_policy(name):
    country = WORLD.country
    listed = {"directory": country.directory(WORLD.directory()), "anchor": country.anchor}

    assert state(FORGERIES[name], policy=WORLD.policy())[0] is False
    assert state(FORGERIES[name], **listed)[0] is False
    assert state(FORGERIES[name])[0] is False


@pytest.mark.parametrize("name", POLICIES)
def test_a_malformed_policy_or_one_for_another_log_is_refused(name):
    assert state(WORLD.receipt(0, 1, 2), policy=POLICIES[name])[0] is False


def test_a_policy_may_name_the_log():
    assert state(WORLD.receipt(0, 1), policy=f"log {WORLD.country.consumer.verifier_key}\n" + WORLD.policy())[0] is True


def test_a_whole_log_is_checked_by_the_policy_too(tmp_path):
    node = WORLD.country.consumer
    folder = node.save(tmp_path)
    report = verify.verify_log(str(folder), key=node.verifier_key, policy=WORLD.policy())
    assert next(check.ok for check in report.checks if check.name == "witnesses") is False

    text, _ = split_note(node.files["checkpoint"])
    lines = [cosign(text, WORLD.keys[n], WORLD.name(n), NOW) for n in (0, 2)]
    (folder / "checkpoint").write_bytes(cosigned(node.files["checkpoint"], lines))

    assert verify.verify_log(str(folder), key=node.verifier_key, policy=WORLD.policy()).ok
