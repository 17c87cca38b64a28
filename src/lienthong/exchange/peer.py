"""TLS between nodes: both sides show a certificate, and each is known by its fingerprint in the directory.

The TLS layer proves that the other side holds the key of a certificate we trust at all; which member's node that is,
and whether it still is one, is looked up by fingerprint on every request, because certificates can not be taken out
of a live context.  Promises: TLS 1.3 only; trust is renewed without a restart; no session outlives its handshake.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lienthong.exchange.client import Origin


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """The node's own certificate and key, as files."""

    certificate: Path
    key: Path
    password: str | None = None
    """Of the encrypted key file."""


class PeerTrust:
    """The server side: who may connect, renewable while connections are open."""

    def __init__(self, own: OwnCertificate, trusted: Iterable[str], *, certificate_needed: bool = True) -> None:
        """``trusted`` are PEM certificates (pinned self-signed ones, or a CA's).

        ``certificate_needed`` False admits clients without a certificate too: they are then nobody at this layer.
        """
        self._needed = certificate_needed
        self._current = self._make(own, trusted)
        self.context = self._make(own, ())
        """For ``serve_app``; hands each new connection to the newest trust."""
        self.context.sni_callback = self._choose

    def renew(self, own: OwnCertificate, trusted: Iterable[str]) -> None:
        """From the next handshake on show ``own`` and trust ``trusted``; open connections are left alone."""
        self._current = self._make(own, trusted)

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        connection.context = self._current

    def _make(self, own: OwnCertificate, trusted: Iterable[str]) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_SERVER, own)
        # The front context says whether a certificate is asked for and how chains end; the current one, whom to trust.
        context.verify_mode = ssl.CERT_REQUIRED if self._needed else ssl.CERT_OPTIONAL
        # Tickets would let a client come back without its certificate being checked; and each costs a write.
        context.num_tickets = 0
        _trust(context, trusted)
        return context


class PeerOrigins:
    """The client side: where each peer is and how it is pinned; one context for all peers, since the pin decides."""

    def __init__(self, own: OwnCertificate, trusted: Iterable[str]) -> None:
        """``trusted`` are PEM certificates of all peers (or their CA)."""
        self._context = self._make(own, trusted)
        self._known: dict[tuple[str, frozenset[str]], Origin] = {}

    def origin(self, url: str, pins: Iterable[str]) -> Origin:
        """The peer at ``url`` (``https://host:port``) that shows one of the certificates ``pins`` (SHA-256, hex).

        Raises ValueError for another scheme, or without pins: any trusted peer could stand in for it.
        """
        key = (url, frozenset(pins))
        known = self._known.get(key)
        if known is None:
            if not key[1]:
                raise ValueError(f"no certificate is pinned for {url}")
            parts = urlsplit(url)
            if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
                raise ValueError(f"{url} is not the address of a peer listener")
            known = self._known[key] = Origin(parts.hostname, parts.port or 443, self._context, key[1])
        return known

    def renew(self, own: OwnCertificate, trusted: Iterable[str]) -> None:
        """Show ``own`` and trust ``trusted`` on new links; idle links of before are left to run out."""
        self._context = self._make(own, trusted)
        self._known.clear()

    def _make(self, own: OwnCertificate, trusted: Iterable[str]) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_CLIENT, own)
        context.check_hostname = False  # the pin names the peer, whatever address it is reached at
        _trust(context, trusted)
        return context


def _context(protocol: Any, own: OwnCertificate) -> ssl.SSLContext:  # an enum whose members typeshed can not tell apart
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(own.certificate, own.key, own.password)
    return context


def _trust(context: ssl.SSLContext, trusted: Iterable[str]) -> None:
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    pems = "\n".join(trusted)
    if pems:
        context.load_verify_locations(cadata=pems)
