"""What a node is told from outside: one frozen ``Settings``, read once from TOML and the environment.

Every setting is documented where it is declared; nothing else in the program reads the environment or a file for
configuration.  Secrets are never settings: they lie in files of mode 0600 under ``data/secrets``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, cast

from lienthong.errors import Problem, Side
from lienthong.i18n import T

DEFAULT_CONFIG = Path("/etc/lienthong/lienthong.toml")
CONFIG_VARIABLE = "LIENTHONG_CONFIG"
DATABASE_VARIABLE = "LIENTHONG_DATABASE"

ClientAuth = Literal["none", "token"]
Audience = Literal["citizens", "staff"]


class BadConfiguration(Problem):
    """The configuration file is missing, is not TOML, or holds a key or value that is not understood."""

    kind: ClassVar[str] = "bad-configuration"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The configuration can not be used")


@dataclass(frozen=True, slots=True)
class Client:
    """One information system of the owner that may use the client listener."""

    system: str
    """System id, for example ``VN/GOV/H24/motcua``."""
    auth: ClientAuth = "none"
    """``none``: whoever reaches the listener (loopback only); ``token``: a bearer token whose hash is below."""
    token_sha256: str = ""
    """Hexadecimal SHA-256 of the bearer token; only with ``token``."""
    default_purpose: str | None = None
    """Purpose code taken when a call names none and several would be possible."""


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An OpenID Connect provider that people sign in with; its client secret lies in ``data/secrets/oidc-<name>``."""

    name: str
    """Stands in addresses: letters a to z, digits, hyphens."""
    issuer: str
    """Its issuer identifier, from which its description is read."""
    client_id: str
    """What it calls this node."""
    title: str = ""
    """What people call it; empty: its name."""
    audience: Audience = "citizens"
    """``citizens``: whoever it vouches for; ``staff``: only persons added with ``account add --provider``."""
    levels: Mapping[str, int] = field(default_factory=dict[str, int])
    """Its levels of assurance (``acr``) to ours: 1 one factor, 2 two factors, 3 rests on a person's presence."""
    ask_levels: str = ""
    """Sent as ``acr_values``."""
    least: int = 1
    """Who is vouched for with less is not let in."""
    number_claim: str = ""
    """The claim that holds a citizen's personal number; empty: none, and nobody sees uses of their data."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """The look-up of one person, firm or parcel across the national databases, for officers with a case in hand.

    It calls as any system does; the token of a system with ``auth = "token"`` lies in
    ``data/secrets/client-token-<last part of the system's id>``.
    """

    system: str
    """The owner's system in whose name it calls: one of ``clients``."""
    purpose: str
    """Code of the registered purpose that every call names."""
    person: str
    """Service of the population register, looked up by ``personal_number``."""
    firm: str
    """Service of the enterprise register, looked up by ``enterprise_code`` or ``representative_number``."""
    parcel: str
    """Service of the land register, looked up by ``parcel_id`` or ``owner_code``."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A table of this node's member that was copied from another member's, and is compared with it every day."""

    copy: str
    """The member's own service over the copied table."""
    source: str
    """The service it was copied from; an agreement must allow queries of it."""
    key: str
    """Column that names a row, of the same name on both sides."""
    fields: list[str]
    """Columns that are compared, of the same names on both sides; the agreement shows them unmasked."""
    system: str
    """The owner's system in whose name the source is asked: one of ``clients``."""
    purpose: str
    """Code of the registered purpose."""


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail server that notices are handed to; its password lies in ``data/secrets/smtp-password``."""

    host: str
    """Its name, which its certificate must bear."""
    sender: str
    """The address that notices come from."""
    port: int = 587
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """``starttls`` or ``tls``: encrypted, the certificate is checked; ``none``: for a server on this machine alone, and
    then no password is sent."""
    user: str = ""
    """As whom the node signs in; empty: it does not."""
    roots: str = ""
    """PEM file with the authority of its certificate; empty: the system's."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One node's configuration."""

    node: str
    """Node id as the directory lists it, for example ``nut-g01``."""
    data: Path
    """Folder of keys, log tiles, shared files and, when no database is named, the embedded PostgreSQL."""
    members: tuple[str, ...]
    """Member ids this node acts for; their keys lie in ``data/keys``."""
    instance: str = "VN"
    """First part of every id."""
    database: str | None = None
    """DSN of a PostgreSQL account that may create a database and roles; absent: the embedded server, for trial."""
    database_name: str = "lienthong"
    """Name of this node's database and prefix of its three roles."""
    public_host: str = "127.0.0.1"
    """Address of the public listener."""
    public_port: int = 8080
    """Port of the public listener."""
    public_url: str = "http://127.0.0.1:8080"
    """Address under which others reach the public listener."""
    client_host: str = "127.0.0.1"
    """Address of the client listener; keep it on loopback or a closed network."""
    client_port: int = 8081
    """Port of the client listener."""
    peer_host: str = "0.0.0.0"  # noqa: S104 - other nodes must reach it; mutual TLS is demanded there
    """Address of the peer listener."""
    peer_port: int = 5500
    """Port of the peer listener."""
    peer_url: str = "https://127.0.0.1:5500"
    """Address under which other nodes reach the peer listener."""
    national: bool = False
    """True on the one node that publishes the directory."""
    directory_url: str = ""
    """Where the signed directory is fetched."""
    directory_anchor: Path | None = None
    """File with the public JWK that signs the directory, received out of band."""
    pkcs11_module: str = ""
    """PKCS#11 library of a token that holds the members' keys, such as an HSM; empty: files in ``data/keys``."""
    pkcs11_token: str = ""
    """Label of that token."""
    pkcs11_pin_file: Path | None = None
    """File with the token's PIN, readable by the node's account alone."""
    clients: tuple[Client, ...] = ()
    """The owner's systems that may call."""
    identity_providers: tuple[IdentityProvider, ...] = ()
    """With whom people sign in, see ``docs/operating.md``; empty: local accounts of staff alone."""
    lookup: Lookup | None = None
    """Which services the page *One person, three registers* calls, see ``docs/operating.md``; absent: no such page."""
    copies: tuple[Copy, ...] = ()
    """Tables copied from other members, compared with their sources every day, see ``docs/operating.md``."""
    mail: Mail | None = None
    """Where notices by e-mail go, see ``docs/cases.md``; absent: persons are told on their pages alone."""
    matching: Path | None = None
    """Folder of the state of ``lienthong link``; the first member's data officers review its doubtful pairs."""
    error_style: Literal["camel", "snake"] = "camel"
    """Spelling of X-Road error types on ``/r1``: ``camel`` as before X-Road 7.8, ``snake`` as after."""
    max_body_bytes: int = 16 * 1024 * 1024
    """Largest body that is held whole: of an answer that must be looked into, of a question."""
    max_request_bytes: int = 1024 * 1024 * 1024
    """Largest body of a call; above 1 MiB it is written down, encrypted, until it has been passed on."""
    max_spool_bytes: int = 8 * 1024 * 1024 * 1024
    """Bytes of such requests that one gateway keeps on the disk at once; more hear 503 and when to come again."""
    max_held_bytes: int = 256 * 1024 * 1024
    """Bytes of requests that one gateway holds at once, of all connections; more hear 503 and when to come again."""
    outward_allowed: tuple[str, ...] = ()
    """Networks (``10.1.0.0/16``) or ports of them (``127.0.0.1:9000``) that typed addresses of back ends, databases and
    webhooks may lead to although they are this machine, a neighbour by link or without TLS; and folders of Unix sockets
    (``/run/postgresql``) of databases that may be typed."""
    gateways: int = 1
    """Gateway processes; several share both ports, the database and the quotas.  One for each core is enough."""
    max_uses: int = 256
    """Uses that one gateway carries out at once for other nodes; further ones wait, the consumers taking turns."""
    max_stream_bytes: int = 4 * 1024 * 1024 * 1024
    """Largest answer of a service's back end that is passed on in frames without being held: where the agreement limits
    no field and the service names no person."""
    stream_timeout_s: float = 3600.0
    """Longest time that such an answer may take."""
    max_query_bytes: int = 64 * 1024 * 1024
    """Largest answer to a sub-query."""
    query_timeout_s: float = 20.0
    """Deadline of an SQL question, all members together."""
    query_memory_mb: int = 1024
    """Memory that one SQL question may use in its sandbox."""
    query_max_rows: int = 100_000
    """Most rows an SQL answer may have."""
    checkpoint_interval_s: float = 0.5
    """How often the log is sequenced and a checkpoint signed."""
    monitoring_days: int = 7
    """How long one object a call is kept for the owner's systems (``/monitoring``); records are kept by other rules."""
    traces: str = ""
    """Address of an OpenTelemetry collector (OTLP over HTTP); empty: no spans, ``traceparent`` passes as it is."""
    tsa_url: str = ""
    """Address of a time-stamping authority (RFC 3161) that stamps checkpoints; empty: none is asked."""
    tsa_roots: Path | None = None
    """PEM file with the roots of that authority."""
    tsa_every_s: float = 600.0
    """How often a checkpoint is stamped."""
    synthetic: bool = False
    """True when this node serves made-up data only: said wherever it is shown."""
    portal_name: str = ""
    """Name in the head of every page, in Vietnamese; empty: the program's own."""
    portal_name_en: str = ""
    """The same in English; empty: the Vietnamese one."""
    emblem: Path | None = None
    """SVG or PNG file, at most 100 kB, shown beside the name; absent: the program's own."""
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    """Free labels for the operator; no meaning to the program."""


_TABLES: Final = {
    "clients": Client, "identity_providers": IdentityProvider, "lookup": Lookup, "mail": Mail, "copies": Copy,
}  # fmt: skip


def load_settings(path: Path | None = None) -> Settings:
    """Settings from ``path``, else from ``$LIENTHONG_CONFIG``, else from ``/etc/lienthong/lienthong.toml``.

    ``$LIENTHONG_DATABASE`` overrides ``database``.  Raises BadConfiguration naming the file and the key.
    """
    chosen = path or Path(os.environ.get(CONFIG_VARIABLE, str(DEFAULT_CONFIG)))
    try:
        table = tomllib.loads(chosen.read_text("utf-8"))
    except FileNotFoundError as missing:
        raise BadConfiguration(
            T("There is no configuration file {file}."),
            mend=T("Name one with --config or the variable LIENTHONG_CONFIG."),
            file=str(chosen),
        ) from missing
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise BadConfiguration(T("{file} is not TOML: {why}"), file=str(chosen), why=str(broken)) from broken
    if DATABASE_VARIABLE in os.environ:
        table["database"] = os.environ[DATABASE_VARIABLE]
    return settings_from(table, chosen)


def settings_from(table: Mapping[str, object], source: Path) -> Settings:
    """Settings from a parsed TOML table; raises BadConfiguration for an unknown key or a value of the wrong type."""
    known = Settings.__dataclass_fields__
    values: dict[str, object] = {}
    for name, value in table.items():
        if name not in known:
            raise BadConfiguration(
                T("{file} has an unknown key: {key}"),
                mend=T("Remove it or correct its spelling."),
                file=str(source),
                key=name,
            )
        values[name] = _converted(name, value, source)
    missing = [name for name in ("node", "data", "members") if name not in values]
    if missing:
        raise BadConfiguration(T("{file} lacks {key}."), file=str(source), key=", ".join(missing))
    return Settings(**values)  # type: ignore[arg-type] - checked key by key above


def _converted(name: str, value: object, source: Path) -> object:
    if name in ("data", "directory_anchor", "pkcs11_pin_file", "tsa_roots", "emblem", "matching"):
        path = Path(str(value))
        return path if path.is_absolute() else (source.parent / path).resolve()
    if name == "members":
        if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[object]", value)):
            raise BadConfiguration(
                T("{file}: {key} must be of type {type}."), file=str(source), key=name, type="list of texts"
            )
        return tuple(cast("list[str]", value))
    if name in _TABLES:
        kind = _TABLES[name]
        try:
            if name in ("lookup", "mail"):
                return kind(**cast("dict[str, Any]", value))  # Any, here and below: checked by the call
            return tuple(kind(**entry) for entry in cast("list[dict[str, Any]]", value))
        except TypeError as wrong:
            raise BadConfiguration(T("{file}: {key} is not understood: {why}"), file=str(source), key=name,
                                   why=str(wrong)) from wrong  # fmt: skip
    expected = {"int": int, "bool": bool, "float": (int, float), "str": str}
    declared = str(Settings.__dataclass_fields__[name].type).split(" | ", 1)[0]
    wrong_kind = isinstance(value, bool) != (declared == "bool")
    if declared in expected and (wrong_kind or not isinstance(value, expected[declared])):
        raise BadConfiguration(T("{file}: {key} must be of type {type}."), file=str(source), key=name, type=declared)
    return value
