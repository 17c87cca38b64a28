"""What is wrong with a change of the directory is told before anybody approves it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lienthong.config import load_settings
from lienthong.directory.checks import Checked, check_change
from lienthong.directory.contents import Contents
from lienthong.directory.lifecycle import read_request, request_change
from lienthong.directory.models import NodeId
from lienthong.node.certificates import fingerprint, newest_certificate
from lienthong.storage.keyring import Keyring
from lienthong.trust.keys import generate_es256, public_jwk
from tests.directory.build import LAND, NOW, POLICE, PROVINCE, a_key, a_member, a_node

NODE = NodeId("nut-h24")
LISTED = a_key()
CONTENTS = Contents(
    members=(a_member(POLICE, keys=(LISTED,)), a_member(PROVINCE), a_member(LAND, state="closed")),
    nodes=(a_node(),),
)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("node")
    (folder / "node.toml").write_text(
        f'node = "{NODE}"\ndata = "data"\nmembers = ["{PROVINCE}"]\npeer_url = "https://h24.example:1"\n'
        'public_url = "http://h24.example:2"\n'
    )
    settings = load_settings(folder / "node.toml")
    return newest_certificate(settings, Keyring(settings.data))


def checks(kind: Any, wanted: dict[str, object], *, contents: Contents = CONTENTS, member=PROVINCE, now=None):
    made = request_change(kind, member, wanted, generate_es256(), NOW)
    change, read = read_request(made, NOW)
    return check_change(change, read, contents, now or NOW)


def grades(found: tuple[Checked, ...]) -> dict[str, str]:
    return {each.subject: each.grade for each in found}


def a_join(pem: str, **changes: object) -> dict[str, object]:
    told: dict[str, object] = {
        "node": NODE, "members": {PROVINCE: public_jwk(generate_es256())}, "certificate_pem": pem,
        "tls_sha256": fingerprint(pem),
    }  # fmt: skip
    return {"identity": told | changes}


def soon(pem: str):
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(pem.encode()).not_valid_before_utc + timedelta(days=1)


def test_a_join_without_fault_is_good_throughout_and_names_its_legal_basis(pem: str):
    found = checks("join", a_join(pem), now=soon(pem))

    assert set(grades(found).values()) == {"good"}
    assert [each.subject for each in found] == [
        "Member", "Agency code and legal basis", "Signing key", "Node", "Certificate",
    ]  # fmt: skip
    assert found[1].facts["code"] == "H24"


@pytest.mark.parametrize(
    ("changed", "subject", "grade"),
    [
        ({"members": {LAND: public_jwk(generate_es256())}}, "Member", "bad"),
        ({"members": {"VN/GOV/H99": public_jwk(generate_es256())}}, "Member", "bad"),
        ({"members": {PROVINCE: LISTED.jwk}}, "Signing key", "bad"),
        ({"members": {PROVINCE: {"kty": "OKP"}}}, "Signing key", "bad"),
        ({"node": "nut-g01"}, "Node", "bad"),
        ({"certificate_pem": "-----BEGIN CERTIFICATE-----"}, "Certificate", "bad"),
        ({"tls_sha256": "0" * 64}, "Certificate", "bad"),
        ({"members": ["VN/GOV/H24"]}, "Request", "bad"),
    ],
)
def test_what_is_wrong_with_a_join_is_found(pem: str, changed: dict[str, object], subject: str, grade: str):
    assert grades(checks("join", a_join(pem, **changed), now=soon(pem)))[subject] == grade


def test_a_certificate_of_another_node_or_that_has_ended_is_found(pem: str):
    other = replace(CONTENTS, nodes=(a_node(tls_sha256=(fingerprint(pem),)),))

    assert grades(checks("join", a_join(pem), contents=other, now=soon(pem)))["Certificate"] == "bad"
    for days, grade in ((365 * 40, "bad"), (-10, "bad")):
        later = soon(pem) + timedelta(days=days)
        assert grades(checks("join", a_join(pem), now=later))["Certificate"] == grade


def test_a_code_that_nobody_checked_and_no_list_gives_is_doubtful(pem: str):
    firm = a_member("VN/COM/0101243150", verified=False, kind="enterprise")
    contents = replace(CONTENTS, members=(*CONTENTS.members, firm))
    joining = a_join(pem, members={firm.id: public_jwk(generate_es256())})

    assert grades(checks("join", joining, contents=contents))["Agency code and legal basis"] == "warn"


def test_a_key_must_be_new_and_for_a_node_that_acts_for_the_member():
    new = public_jwk(generate_es256())

    assert grades(checks("key", {"jwk": new, "node": "nut-g01"}, member=POLICE)) == {
        "Signing key": "good", "Node": "good",
    }  # fmt: skip
    assert grades(checks("key", {"jwk": LISTED.jwk, "node": "nut-g01"})) == {"Signing key": "bad", "Node": "bad"}


def test_a_closing_tells_its_day_its_successor_and_who_stands_below():
    below = a_member(f"{PROVINCE}.1", kind="commune", parent=PROVINCE)
    contents = replace(CONTENTS, members=(*CONTENTS.members, below))

    now = grades(checks("close", {"day": "2026-07-01", "successor": POLICE}, contents=contents))
    ahead = grades(checks("close", {"day": "2027-01-01", "successor": None}))
    without = grades(checks("close", {"day": "2026-07-01", "successor": PROVINCE}, member=POLICE))
    gone = grades(checks("close", {"day": "2026-07-01", "successor": LAND}))

    assert now == {"Request": "good", "Successor": "good", "Members below": "warn"}
    assert ahead == {"Request": "warn", "Successor": "warn"}
    assert without["Successor"] == "warn"
    assert gone["Successor"] == "bad"
    assert grades(checks("close", {"day": "mai"})) == {"Request": "bad"}
