"""What can be wrong with the database or file behind a published table.

Promises: callers learn whose side it is on and what to do, never what the database said or where the file lies.
"""

from __future__ import annotations

from lienthong.errors import Problem
from lienthong.i18n import T


class SourceUnavailable(Problem):
    """The table's own database does not answer or refuses this node's account."""

    kind = "source-unavailable"
    status = 503
    side = "provider"
    title = T("The table's database is not available")


class SourceChanged(Problem):
    """The table no longer has the columns or types that were published, or its account lost a right."""

    kind = "source-changed"
    status = 502
    side = "provider"
    title = T("The table is no longer as published")


class SourceTooSlow(Problem):
    """The table's database did not answer in the time this service allows."""

    kind = "source-timeout"
    status = 504
    side = "provider"
    title = T("The table's database did not answer in time")


class FileNotReadable(Problem):
    """A CSV or Parquet file is missing, damaged, in an unknown encoding, or not what its name says."""

    kind = "file-not-readable"
    status = 422
    side = "provider"
    title = T("The file can not be read as a table")


def source_problem(sqlstate: str | None) -> Problem:
    """The defined problem behind a failed read; ``sqlstate`` is the database's code, None when it never answered."""
    if sqlstate == "57014":
        return SourceTooSlow(
            T("The table's database did not answer within the service's time limit."),
            mend=T("Narrow the question, or ask the provider for an index."),
        )
    # Classes 22 (data), 42 (names, rights), 0A, 3F (schema): the table or our account changed since publication.
    if sqlstate is not None and sqlstate[:2] in ("22", "42", "0A", "3F", "3D"):
        return SourceChanged(
            T("The table no longer fits its published description."),
            mend=T("The provider has to publish the service again."),
        )
    return SourceUnavailable(
        T("The database that holds this table does not answer."),
        mend=T("Try again in a moment; if it lasts, tell the provider's contact."),
        retry_after_s=5,
    )
