"""Which addresses this node connects to when somebody without power over the machine typed them.

An officer types the address of a back end (it lies on a private network), a subscriber that of a webhook (it lies on
the public one).  Promises: the address connected to is the one that was checked, at every connection anew, so a name
that later points elsewhere (DNS rebinding) gains nothing; this machine, its neighbours by link and the metadata
services of clouds are out of reach unless the operator named them; a name is reached only if all its addresses are.
Source: OWASP, Server-Side Request Forgery Prevention Cheat Sheet; RFC 6890 (special-purpose addresses).
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import ClassVar, Final, Literal

from lienthong.errors import Problem, Side
from lienthong.exchange.answer import PeerUnreachable
from lienthong.i18n import T

Reach = Literal["inside", "public"]
"""``inside``: private networks and public addresses (a province's back ends); ``public``: global addresses alone."""

Address = IPv4Address | IPv6Address
_METADATA: Final = frozenset(
    map(ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
"""Where clouds answer a machine with its own secrets."""
_NOWHERE: Final = tuple(map(ip_network, ("0.0.0.0/8", "::/8", "64:ff9b:1::/48", "2001::/32", "2002::/16")))
"""No server's own address: "this" network (RFC 791), and IPv6 that is turned into an IPv4 address nobody checked."""
_PLACE: Final = re.compile(
    r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<bare>[0-9.]+(?:/\d+)?|[0-9a-fA-F:]+/\d+))(?::(?P<port>\d{1,5}))?"
)


class AddressNotAllowed(Problem):
    """An address that somebody typed leads to a place where this node must not go for others."""

    kind: ClassVar[str] = "address-not-allowed"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This node does not connect to this address")


@dataclass(frozen=True, slots=True)
class Place:
    """A network, or one port of it, that the operator named: ``10.1.0.0/16``, ``127.0.0.1:9000``, ``[::1]:9000``."""

    network: str
    port: int | None = None

    def holds_text(self, address: str, port: int) -> bool:
        """As ``holds``, for a numeric address as it is written."""
        return self.holds(ip_address(address.partition("%")[0]), port)

    def holds(self, address: Address, port: int) -> bool:
        """Whether it names this place."""
        return (self.port is None or self.port == port) and address in ip_network(self.network)


@dataclass(frozen=True, slots=True)
class Outward:
    """A rule about where to connect; ``exchange.client.Origin.rule`` takes it."""

    reach: Reach
    allowed: tuple[Place, ...] = ()
    """Places that the operator named; they may be reached whatever else is said."""
    sockets: tuple[str, ...] = ()
    """Folders of Unix sockets that the operator named; no other socket of this machine is reached."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """The numeric addresses of ``host``, each one checked, to be connected to as they are.

        Raises AddressNotAllowed, and PeerUnreachable for a name that stands for nothing.
        """
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise PeerUnreachable(
                T("There is no server called {host}."), mend=T("Check the spelling of its name."), host=host
            ) from None
        numeric = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for each in numeric:
            if not self.allows(each, port):
                raise AddressNotAllowed(
                    T("This node does not connect to {host} for others: {why}."),
                    mend=T("If it is right, the operator lists it in the setting outward_allowed."),
                    host=host,
                    why=self.why,
                )
        return numeric

    def allows(self, address: str, port: int) -> bool:
        """Whether this numeric address may be connected to."""
        bare = ip_address(address.partition("%")[0])
        return any(each.holds(bare, port) for each in self.allowed) or ("%" not in address and self._may(bare))

    @property
    def why(self) -> str:
        """The rule in words."""
        if self.reach == "public":
            return T("only public addresses are reached")
        return T("it is this machine itself, a neighbour by link or no server")

    def _may(self, address: Address) -> bool:
        if address in _METADATA or address.is_loopback or address.is_link_local or address.is_multicast:
            return False
        if address.is_reserved or any(address in network for network in _NOWHERE) or is_ours(address):
            return False
        return self.reach == "inside" or address.is_global


INSIDE: Final = Outward("inside")


def read_allowed(texts: Sequence[str]) -> tuple[Place, ...]:
    """The places of a network that the operator named; raises ValueError for what is none."""
    return tuple(_read_place(text) for text in texts if not text.startswith("/"))


def inside_of(texts: Sequence[str]) -> Outward:
    """The rule for addresses that officers type; ``texts``: what the operator named (``outward_allowed``)."""
    return Outward("inside", read_allowed(texts), tuple(text for text in texts if text.startswith("/")))


def _read_place(text: str) -> Place:
    read = _PLACE.fullmatch(text)
    if read is None or not 0 < int(read["port"] or 1) < 65_536:
        raise ValueError(text)
    host = read["six"] or read["bare"]
    port = read["port"]
    return Place(str(ip_network(host)), None if port is None else int(port))


def is_ours(address: Address) -> bool:
    """Whether it is an address of this machine: what goes to one of those comes from the same one (nothing is sent)."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return probe.getsockname()[0] == str(address)
    except OSError:
        return False
