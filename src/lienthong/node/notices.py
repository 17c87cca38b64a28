"""What other nodes may send besides uses: descriptions asked for, agreements negotiated, profiles requested,
halves of uses compared, rules of closed members made anew, corrections asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lienthong.exchange.describe import NOTICE as DESCRIBE
from lienthong.exchange.describe import Describer
from lienthong.exchange.parts import PeerNotice
from lienthong.node.corrections import CorrectionDesk
from lienthong.node.desk import NOTICE as AGREEMENTS
from lienthong.node.desk import Desk
from lienthong.node.halves import HalvesDesk
from lienthong.node.nudging import NewsDesk
from lienthong.node.profiles import NOTICE as PROFILES
from lienthong.node.profiles import ProfileOffice
from lienthong.node.takeover import RulesDesk


@dataclass(frozen=True, slots=True)
class Notices:
    """The handlers by name, for the peer listener."""

    desk: Desk
    describer: Describer
    profiles: ProfileOffice
    halves: HalvesDesk
    rules: RulesDesk
    news: NewsDesk
    corrections: CorrectionDesk

    def handlers(self) -> Mapping[str, PeerNotice]:
        """Path below ``/x1/`` to handler."""
        return {
            AGREEMENTS: self.desk.receive,
            DESCRIBE: self.describer.answer,
            PROFILES: self.profiles.issue,
            **self.halves.handlers(),
            **self.rules.handlers(),
            **self.news.handlers(),
            **self.corrections.handlers(),
        }
