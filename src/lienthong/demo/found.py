"""Founding the small country: databases and keys of every node, the directory's first version, what each publishes.

Done once per data folder; doing it again changes nothing.  Everything goes through the same verbs an operator uses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from lienthong.catalog.publish import find
from lienthong.catalog.queries import store_service
from lienthong.config import Client, Settings
from lienthong.demo.copied import copied_residents
from lienthong.demo.country import (
    COPIES,
    DATA_DAY,
    HAI_PHONG,
    LOOKUP,
    SEED,
    Actor,
    Offer,
    actors,
    former_members,
    purposes,
)
from lienthong.demo.firms import make_firms
from lienthong.demo.land import make_parcels
from lienthong.demo.places import HOME_PROVINCE
from lienthong.demo.population import make_population
from lienthong.demo.queries import (
    READER,
    database_of,
    load_firms,
    load_parcels,
    load_people,
    load_residents,
    load_units,
    make_database,
    open_to_reader,
    table_comment,
)
from lienthong.demo.registers import FIRM, PARCEL, PERSON, RESIDENT, UNIT
from lienthong.directory import register
from lienthong.directory.models import Member, MemberId, MemberKey, Node, NodeId, WitnessPolicy
from lienthong.directory.queries import member_by_id
from lienthong.directory.tuf.publish import take_over_root
from lienthong.directory.tuf.sign import draft_root, finish_root, sign_root
from lienthong.node.prepare import DIRECTORY_KEY, ONLINE_ROLE_KEYS, NodeIdentity, identity_of
from lienthong.storage.keyring import Keyring, open_keyring
from lienthong.storage.pool import Connection, connect
from lienthong.storage.provision import prepare_database
from lienthong.storage.uri import with_account
from lienthong.trust.keys import key_id, public_jwk

KEY_LIFE: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Site:
    """One node of the demo: who runs it, where it listens, how it is configured."""

    actor: Actor
    settings: Settings
    config: Path

    @property
    def database(self) -> str:
        """Name of the node's own database."""
        return self.settings.database_name

    @property
    def source_database(self) -> str:
        """Name of the database that holds the owner's register."""
        return f"{self.database}_nguon"


def write_config(site: Site, superuser: str) -> None:
    """Write the node's TOML (mode 0600: it names the database account)."""
    chosen = site.settings
    lines = [
        f"node = {_toml(chosen.node)}",
        f"data = {_toml(str(chosen.data))}",
        f"members = {_toml(list(chosen.members))}",
        f"database = {_toml(superuser)}",
        f"database_name = {_toml(chosen.database_name)}",
        f"public_port = {chosen.public_port}",
        f"public_url = {_toml(chosen.public_url)}",
        f"client_port = {chosen.client_port}",
        'peer_host = "127.0.0.1"',
        f"peer_port = {chosen.peer_port}",
        f"peer_url = {_toml(chosen.peer_url)}",
        f"national = {_toml(chosen.national)}",
        f"directory_url = {_toml(chosen.directory_url)}",
        f"directory_anchor = {_toml(str(chosen.directory_anchor))}",
        f"synthetic = {_toml(chosen.synthetic)}",
        f"outward_allowed = {_toml(_own_database(superuser))}",
    ]
    if chosen.tsa_url:
        lines += [f"tsa_url = {_toml(chosen.tsa_url)}", f"tsa_roots = {_toml(str(chosen.tsa_roots))}"]
        lines.append(f"tsa_every_s = {chosen.tsa_every_s}")
    for client in chosen.clients:
        lines += ["", "[[clients]]", f"system = {_toml(client.system)}"]
        if client.default_purpose:
            lines.append(f"default_purpose = {_toml(client.default_purpose)}")
    for copy in chosen.copies:
        lines += ["", "[[copies]]", *(f"{name} = {_toml(value)}" for name, value in asdict(copy).items())]
    if chosen.lookup:
        told = asdict(chosen.lookup)
        lines += ["", "[lookup]", *(f"{name} = {_toml(value)}" for name, value in told.items())]
    site.config.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(site.config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines) + "\n")


def _own_database(superuser: str) -> list[str]:
    """Where officers of a demo may publish tables from: the database server of the demo itself, on this machine."""
    parts = urlsplit(superuser)
    folder = parse_qs(parts.query).get("host", [""])[-1]
    return [folder] if folder.startswith("/") else [f"127.0.0.1:{parts.port or 5432}"]


def write_anchor(national: Settings, path: Path) -> None:
    """Write the public key that signs the directory, as every member would receive it out of band."""
    path.write_text(json.dumps(public_jwk(open_keyring(national).es256(DIRECTORY_KEY))), "utf-8")


def hold_ceremony(folder: Path, national: Settings) -> bytes:
    """The root of the country's directory: made once by three keepers, two of whom must sign; kept in ``folder``.

    In a real country the three keys never meet on one machine: ``lienthong directory ceremony``.
    """
    path = folder / "root.json"
    if not path.exists():
        ring, now = open_keyring(national), datetime.now(UTC)
        keepers = [Keyring(folder / "keepers").ed25519(f"keeper-{number}") for number in (1, 2, 3)]
        online = {role: ring.es256(name).public_key() for role, name in ONLINE_ROLE_KEYS.items()}
        draft = draft_root([key.public_key() for key in keepers], 2, online, now)
        copies = [sign_root(draft, key, f"keeper-{number}", now) for number, key in enumerate(keepers[:2], 1)]
        path.write_bytes(finish_root(copies, None))
    return path.read_bytes()


async def admit_everybody(sites: Sequence[Site], superuser: str, root: bytes) -> None:
    """Publish the root; register members, nodes, keys, systems and purposes if the national database is empty."""
    for site in sites:
        prepare_database(superuser, site.database)
    now = datetime.now(UTC).replace(microsecond=0)
    async with await connect(database_of(superuser, sites[0].database)) as db:
        await take_over_root(db, root, now)
        if await member_by_id(db, sites[0].actor.member.id) is not None:
            await _renew_addresses(db, sites)
            return
        for member in _parents_first(site.actor.member for site in sites):
            await register.add_member(db, replace(member, keys=()))
        for member in former_members(now.date()):
            await _admit_closed(db, member)
        for site in sites:
            identity = identity_of(site.settings, open_keyring(site.settings))
            await register.add_node(db, _node(site, identity))
            await register.add_authority(db, identity.certificate_pem)
            for member, jwk in identity.members.items():
                key = MemberKey(key_id(jwk), jwk, NodeId(identity.node), now - timedelta(hours=1), now + KEY_LIFE)
                await register.add_key(db, MemberId(member), key)
            for system in site.actor.systems:
                await register.add_system(db, system)
        await register.set_witness_policy(db, _two_witnesses(sites))
        for purpose in purposes():
            await register.add_purpose(db, purpose)


async def load_registers(sites: Sequence[Site], superuser: str, persons: int) -> dict[str, int]:
    """Fill each owner's register in a database of its own; rows by table.  A filled register is left as it is."""
    wanted = {offer.register.table: (site, offer) for site in sites for offer in site.actor.offers}
    missing = [(site, offer) for site, offer in wanted.values() if not _is_loaded(superuser, site, offer, persons)]
    if not missing:
        return {}
    people = make_population(persons, seed=SEED, day=DATA_DAY)
    firms = make_firms(people, seed=SEED)
    loaded: dict[str, int] = {}
    for site, offer in missing:
        make_database(superuser, site.source_database)
        async with await connect(database_of(superuser, site.source_database)) as db:
            match offer.register:
                case _ if offer.register is PERSON:
                    rows = await load_people(db, people.people)
                case _ if offer.register is RESIDENT:
                    rows = await load_residents(db, copied_residents(people.people, province=HOME_PROVINCE, seed=SEED))
                case _ if offer.register is PARCEL:
                    rows = await load_parcels(db, make_parcels(people, firms, seed=SEED))
                case _ if offer.register is FIRM:
                    rows = await load_firms(db, firms)
                case _:
                    rows = await load_units(db, DATA_DAY)
            await open_to_reader(db, offer.register.table, _mark(offer, persons))
        loaded[offer.register.table] = rows
    return loaded


async def publish_everything(sites: Sequence[Site], superuser: str, secret: str) -> None:
    """Let every owner publish its register as a service of its node."""
    for site in sites:
        async with await connect(database_of(superuser, site.database)) as db:
            for offer in site.actor.offers:
                reader = with_account(superuser, READER, secret, site.source_database)
                found = await find(f"{reader}#public.{offer.register.table}")
                await store_service(db, offer.service_over(found.source))


def _node(site: Site, identity: NodeIdentity) -> Node:
    return Node(
        id=NodeId(identity.node),
        operator=site.actor.member.id,
        members=tuple(MemberId(member) for member in identity.members),
        peer_url=identity.peer_url,
        public_url=identity.public_url,
        tls_sha256=(identity.tls_sha256,),
        log_origin=identity.log_origin,
        log_key=identity.log_key,
        witness_key=identity.witness_key,
        platform="demo",
        runs_on="demo",
        security_level=site.actor.member.security_level,
    )


def _two_witnesses(sites: Sequence[Site]) -> WitnessPolicy:
    """Every node is a witness of the others' logs; two of them must have cosigned."""
    return WitnessPolicy(min(2, len(sites) - 1), tuple(NodeId(site.settings.node) for site in sites))


async def _renew_addresses(db: Connection, sites: Sequence[Site]) -> None:
    for site in sites:
        await register.add_node(db, _node(site, identity_of(site.settings, open_keyring(site.settings))))
    await register.set_witness_policy(db, _two_witnesses(sites))


async def _admit_closed(db: Connection, member: Member) -> None:
    """A ministry that was merged: admitted as it was, then closed with its successor."""
    successor, closed_on = member.successor, member.closed_on
    if successor is None or closed_on is None or await member_by_id(db, successor) is None:
        return
    await register.add_member(db, replace(member, state="active", successor=None, closed_on=None, keys=()))
    await register.close_member(db, member.id, successor, closed_on)


def _parents_first(members: Iterable[Member]) -> list[Member]:
    return sorted(members, key=lambda member: member.parent is not None)


def _is_loaded(superuser: str, site: Site, offer: Offer, persons: int) -> bool:
    comment = table_comment(database_of(superuser, site.source_database), offer.register.table)
    return comment == _mark(offer, persons)


def _mark(offer: Offer, persons: int) -> str:
    """The table's comment: its title, and what it was made from, so that a second start can tell."""
    made = f" [{persons}; {SEED}; {DATA_DAY}]" if offer.register is not UNIT else ""
    return offer.register.title_vi + made


def _toml(value: str | bool | Sequence[str]) -> str:
    return json.dumps(value, ensure_ascii=False)


def country_sites(
    folder: Path, ports: Mapping[str, tuple[int, int, int]], superuser_name: str, day: date
) -> tuple[Site, ...]:
    """The five nodes of the country with their addresses; ``ports`` gives public, client and peer port by node."""
    made: list[Site] = []
    cast = actors(day)
    national_public = ports[cast[0].node][0]
    for actor in cast:
        public, client, peer = ports[actor.node]
        home = folder / "nodes" / actor.node
        settings = Settings(
            node=actor.node,
            data=home,
            members=(actor.member.id,),
            database=superuser_name,
            database_name="lt_" + actor.node.replace("-", "_"),
            public_port=public,
            public_url=f"http://127.0.0.1:{public}",
            client_port=client,
            peer_host="127.0.0.1",
            peer_port=peer,
            peer_url=f"https://127.0.0.1:{peer}",
            national=actor is cast[0],
            directory_url=f"http://127.0.0.1:{national_public}/directory/current",
            directory_anchor=folder / "root.json",
            clients=tuple(Client(system=system.id, default_purpose=system.default_purpose) for system in actor.systems),
            synthetic=actor is not cast[0],
            lookup=LOOKUP if actor.member.id == HAI_PHONG else None,
            copies=COPIES if actor.member.id == HAI_PHONG else (),
        )
        made.append(Site(actor, settings, folder / "nodes" / f"{actor.node}.toml"))
    return tuple(made)
