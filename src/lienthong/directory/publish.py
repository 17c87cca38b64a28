"""The national node's side: turn the tables into a signed version, a new one whenever something changed or ages.

Promises: versions only grow; two publishers never give out the same number; a version that says the same as the last
is only re-issued, so followers can tell an old directory from a quiet one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from lienthong.directory import queries
from lienthong.directory.contents import contents_digest
from lienthong.directory.document import write_directory
from lienthong.directory.queries import Connection
from lienthong.directory.versions.queries import DirectoryVersion, insert_version, latest_version, lock_publication
from lienthong.trust.documents import sign_document
from lienthong.trust.keys import PrivateKey, key_id, public_jwk

LIFETIME: Final = timedelta(hours=24)
REISSUE_AFTER: Final = timedelta(seconds=60)


async def publish_directory(
    db: Connection, key: PrivateKey, now: datetime, *, reissue_after: timedelta = REISSUE_AFTER
) -> DirectoryVersion:
    """The version followers should have at ``now``, signed by the directory's ``key``; the caller commits."""
    await lock_publication(db)
    contents = await queries.whole_directory(db)
    digest = contents_digest(contents)
    last = await latest_version(db)
    if last is not None and last.content_digest == digest and now - last.issued < reissue_after:
        return last
    version = 1 if last is None else last.version + 1
    first = last.first_issued if last is not None and last.content_digest == digest else now
    document = write_directory(contents, version=version, issued=now, expires=now + LIFETIME)
    envelope = sign_document(document, key, key_id(public_jwk(key)))
    published = DirectoryVersion(version, digest, now, now + LIFETIME, envelope, first)
    await insert_version(db, published)
    return published
