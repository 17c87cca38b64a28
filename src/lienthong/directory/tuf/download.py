"""Reading the national node's files within limits of size and time; the bytes are not yet believed."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from lienthong.directory.follow import DirectoryTooLarge
from lienthong.directory.tuf.problems import DirectoryIncomplete, DirectorySlow
from lienthong.i18n import T

DEADLINE_S: Final = 20.0
_PIECE_BYTES: Final = 64 * 1024


async def download(
    session: aiohttp.ClientSession, base: str, name: str, limit: int, deadline_s: float = DEADLINE_S
) -> bytes | None:
    """The file ``name`` below ``base``, at most ``limit`` bytes; None when there is none.

    A sender that drips or never ends is cut off.  Raises DirectoryTooLarge, DirectorySlow, DirectoryIncomplete.
    """
    try:
        async with asyncio.timeout(deadline_s), session.get(f"{base}/{name}", allow_redirects=False) as answer:
            if answer.status == 404:
                return None
            if answer.status != 200:
                raise DirectoryIncomplete(T("The national node answered {status}."), status=answer.status)
            content = bytearray()
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                content += piece
                if len(content) > limit:
                    raise DirectoryTooLarge(T("The directory is larger than {limit} bytes."), limit=limit)
            return bytes(content)
    except TimeoutError as slow:
        raise DirectorySlow(
            T("{name} did not arrive within {seconds} s."),
            mend=T("See how the national node is reached; the last verified directory goes on serving."),
            name=name,
            seconds=int(deadline_s),
        ) from slow
