"""What can be wrong with metadata that was offered; in each case the last verified directory stays."""

from __future__ import annotations

from lienthong.errors import Problem
from lienthong.i18n import T

MEND = T("Ask the national node's operator: somebody may be showing this node a directory that is not the country's.")


class DirectoryUnsigned(Problem):
    """Metadata lacks the signatures that the trusted root asks of its role."""

    kind = "directory-unsigned"
    status = 502
    side = "node"
    title = T("The directory lacks signatures")


class DirectoryMixed(Problem):
    """Parts of different versions were put together: one is not the file that the role above it names."""

    kind = "directory-mixed"
    status = 502
    side = "node"
    title = T("The directory is mixed from several versions")


class DirectoryForked(Problem):
    """Two different sets of metadata bear the same version number, both validly signed."""

    kind = "directory-forked"
    status = 502
    side = "node"
    title = T("Two directories bear one number")


class DirectorySlow(Problem):
    """The national node sends too slowly: after the deadline nothing more is waited for."""

    kind = "directory-slow"
    status = 504
    side = "node"
    title = T("The directory comes too slowly")


class DirectoryIncomplete(Problem):
    """A file that the metadata names is not there."""

    kind = "directory-incomplete"
    status = 502
    side = "node"
    title = T("A part of the directory is missing")
