"""Whom a node's log asks to cosign, and how many of them its readers want: ``k of n``, as the directory says."""

from __future__ import annotations

from dataclasses import dataclass

from lienthong.access.shards import shard_key, shard_name
from lienthong.directory.document import Snapshot
from lienthong.directory.models import Node
from lienthong.errors import Problem
from lienthong.trust.cosign import CosignerKey, parse_cosigner_key
from lienthong.trust.note import NoteRefused, VerifierKey, parse_verifier_key


@dataclass(frozen=True, slots=True)
class WitnessSite:
    """A witness: its key and the address under which ``add-checkpoint`` and ``heads`` lie."""

    key: CosignerKey
    url: str


@dataclass(frozen=True, slots=True)
class Policy:
    """At least ``threshold`` of ``witnesses`` must have cosigned; 0 asks for none."""

    threshold: int
    witnesses: tuple[WitnessSite, ...]

    @property
    def names(self) -> list[str]:
        """The names under which the witnesses sign."""
        return [site.key.name for site in self.witnesses]

    def stated(self) -> dict[str, object]:
        """The policy as a receipt states it: the threshold and the witnesses' verifier keys."""
        return {"threshold": self.threshold, "witnesses": [str(site.key) for site in self.witnesses]}


NO_POLICY = Policy(0, ())


def no_policy() -> Policy:
    """No witness is asked for."""
    return NO_POLICY


def witness_site(public_url: str, witness_key: str) -> WitnessSite | None:
    """Where a node's witness answers; None when the directory has no usable key of it."""
    try:
        return WitnessSite(parse_cosigner_key(witness_key), f"{public_url.rstrip('/')}/witness")
    except NoteRefused:
        return None


def policy_for(snapshot: Snapshot, node: str) -> Policy:
    """What is asked of the log of ``node``: the directory's policy without that node itself."""
    wanted = snapshot.witness_policy
    sites: list[WitnessSite] = []
    for name in wanted.witnesses:
        listed = snapshot.node(name)
        if listed is not None and listed.id != node and (site := witness_site(listed.public_url, listed.witness_key)):
            sites.append(site)
    return Policy(wanted.threshold, tuple(sites))


def log_key(snapshot: Snapshot, origin: str) -> VerifierKey | None:
    """The key with which the shard ``origin`` signs, as the directory says; None for a log nobody listed."""
    node = node_of_log(snapshot, origin)
    return None if node is None else key_of_node(node, origin)


def node_of_log(snapshot: Snapshot, origin: str) -> Node | None:
    """The node whose log, or a shard of it, signs as ``origin``."""
    nodes = snapshot.contents.nodes
    return next((node for node in nodes if shard_name(node.log_origin, origin) is not None), None)


def key_of_node(node: Node, origin: str) -> VerifierKey | None:
    """The key of the node's log as its shard ``origin`` bears it; None when it is no shard of this log."""
    try:
        return shard_key(parse_verifier_key(node.log_key), origin)
    except Problem:
        return None
