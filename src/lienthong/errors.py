"""One error type for the whole program: what happened, whose side it is on, what to do.

A package declares its own kinds beside what raises them; a door (HTTP, page, command) renders any of them in one place.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from lienthong.i18n import DEFAULT_LANGUAGE, Language, T, translate

Side = Literal["caller", "consumer", "provider", "node"]
"""Who has to act: the calling system, the consumer's node, the provider's side, or this node's operator."""


class Problem(Exception):
    """A defined error.

    ``message`` is an English message id whose ``{placeholders}`` are filled from ``facts``; ``mend`` says what to do.
    Facts travel to callers and logs: never put personal data into them.  Rendered as RFC 9457 problem details.
    """

    kind: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node failed")
    record: str | None = None
    """Hash of the record that this problem left in the node's log, once it is durable."""

    def __init__(self, message: str, *, mend: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.facts = facts

    def __str__(self) -> str:
        return self.detail("en")

    def detail(self, language: Language = DEFAULT_LANGUAGE) -> str:
        """The message in ``language`` with its facts filled in."""
        return translate(self.message, language, **self.facts)

    def as_dict(self, language: Language = DEFAULT_LANGUAGE) -> dict[str, object]:
        """RFC 9457 members, our ``side`` and ``mend``, then the facts."""
        body: dict[str, object] = {
            "type": f"urn:lienthong:problem:{self.kind}",
            "title": translate(self.title, language),
            "status": self.status,
            "detail": self.detail(language),
            "side": self.side,
        }
        if self.mend:
            body["mend"] = translate(self.mend, language, **self.facts)
        return body | {name: value for name, value in self.facts.items() if name not in body}
