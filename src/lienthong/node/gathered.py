"""The facts of all known nodes at one moment, indexed for the pages: names, titles, addresses.

Pure.  What nobody told stays as it stands: an unknown member is shown by its id, an unknown service by its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lienthong.catalog.models import Service
from lienthong.directory.document import Snapshot
from lienthong.i18n import T, translate
from lienthong.node.facts import NodeFacts, SignedAgreement
from lienthong.portal.models import Name

CLASS_NAMES: Final = {
    "GOV": T("Every state body"),
    "COM": T("Every enterprise"),
    "EDU": T("Every school and university"),
    "ORG": T("Every organisation"),
}
"""Who a rule for a whole class of members is for."""
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything the pages know at ``now``.  Make it with ``gather``."""

    now: datetime
    snapshot: Snapshot | None
    own: NodeFacts
    others: tuple[NodeFacts, ...]
    synthetic: bool
    """Whether this node serves made-up data only: what is assumed of a service nobody described."""
    services: Mapping[str, Service]
    """By service id and by dataset id."""
    agreements: Mapping[str, SignedAgreement]
    """By digest (``sha-256:<hex>``), our own copy first."""

    @property
    def nodes(self) -> tuple[NodeFacts, ...]:
        """All nodes, our own first."""
        return (self.own, *self.others)

    def node_of(self, member_id: str) -> NodeFacts | None:
        """The facts of the node that acts for the member, where they are known."""
        node = self.snapshot.node_of(member_id) if self.snapshot else None
        return next((facts for facts in self.nodes if node and facts.node == node.id), None)

    def base_of(self, member_id: str) -> str | None:
        """What comes before a path on the public listener of the member's node; None when nobody knows it."""
        node = self.snapshot.node_of(member_id) if self.snapshot else None
        if node is None:
            return None
        return "" if node.id == self.own.node else node.public_url.rstrip("/") or None

    def member_name(self, member_id: str) -> Name:
        """The name of a member, or of a whole class of members."""
        member = self.snapshot.member(member_id) if self.snapshot else None
        if member is not None:
            return Name(member.name_vi, member.name_en)
        words = CLASS_NAMES.get(member_id.rpartition("/")[2]) if member_id.count("/") == 1 else None
        return Name(translate(words, "vi"), words) if words else Name(member_id, member_id)

    def title(self, target: str) -> Name:
        """The title of a service or dataset."""
        service = self.services.get(target)
        return service_name(service) if service else Name(target, target)

    def purpose_name(self, code: str | None) -> Name | None:
        """The title of a registered purpose."""
        purpose = self.snapshot.purpose(code) if self.snapshot and code else None
        return Name(purpose.title_vi, purpose.title_en) if purpose else None

    def is_synthetic(self, target: str) -> bool:
        """Whether the target's data are made up."""
        service = self.services.get(target)
        return service.synthetic if service else self.synthetic

    def agreement_url(self, digest: str, provider: str, consumer: str) -> str | None:
        """Where the agreement can be read: here when we are a party, else at a party whose node answers."""
        page = f"/agreements/{plain_digest(digest)}"
        if any(signed.agreement.digest == digest for signed in self.own.agreements):
            return page
        for party in (provider, consumer):
            facts, base = self.node_of(party), self.base_of(party)
            if base is not None and (facts is None or facts.health != "silent"):
                return base + page
        # Nobody who signed it answers: our own page of what they last told, if they did.
        return page if digest in self.agreements else None


def gather(
    now: datetime,
    snapshot: Snapshot | None,
    own: NodeFacts,
    others: Sequence[NodeFacts],
    *,
    described: Sequence[Service] = (),
    synthetic: bool,
) -> Gathered:
    """The facts of all nodes, indexed; ``described`` are services of nodes of which nothing else is shown."""
    nodes = (own, *others)
    services: dict[str, Service] = {}
    agreements: dict[str, SignedAgreement] = {}
    for service in (*(service for facts in nodes for service in facts.services), *described):
        services.setdefault(service.id, service)
        if service.dataset:
            services.setdefault(service.dataset, service)
    for facts in nodes:
        for signed in facts.agreements:
            known = agreements.setdefault(signed.agreement.digest, signed)
            if signed.ends != known.ends and signed.over(now):
                # Either party may end an agreement; the copy that has not heard of it yet does not count.
                agreements[signed.agreement.digest] = signed
    return Gathered(now, snapshot, own, tuple(others), synthetic, services, agreements)


def service_name(service: Service) -> Name:
    """A service's title in both languages, as short and plain as a list needs it."""
    return Name(_plain(service.title_vi) or service.id, _plain(service.title_en))


def plain_digest(digest: str) -> str:
    """A digest without the name of its algorithm."""
    return digest.removeprefix("sha-256:")


def _plain(text: str) -> str:
    """Without characters that are not seen (they can turn the line around them), and not longer than a line."""
    return "".join(letter for letter in text if letter.isprintable())[:_MOST]
