"""The path of a call: decoded once, checked, matched against a service's endpoints, and forwarded byte for byte.

What is authorised and what is sent must be the same string (X-Road's endpoint rights were once passed by an encoded
``..``), so a path that a back end could resolve to another one is refused, never repaired.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_to_bytes

from lienthong.errors import Problem
from lienthong.i18n import T

_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class PathRefused(Problem):
    """The path could be understood in two ways."""

    kind = "path-refused"
    status = 400
    side = "caller"
    title = T("The path of the call is ambiguous")


def decoded_path(path: bytes) -> str:
    """``path`` (without its query) decoded once from percent-encoding and UTF-8.

    Raises PathRefused for wrong escapes, control characters, backslashes, and segments that are or hide ``.`` or
    ``..``, also behind a path parameter (``..;x``) or a second encoding.
    """
    if _PERCENT.search(path):
        raise _refused(T("The path holds a percent sign that is not followed by two hexadecimal digits."))
    try:
        text = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(T("The path is not percent-encoded UTF-8.")) from None
    if _CONTROL.search(text) or "\\" in text:
        raise _refused(T("The path holds a control character or a backslash."))
    as_a_careless_back_end_reads_it = unquote(text).replace("\\", "/")
    if any(segment.partition(";")[0] in (".", "..") for segment in as_a_careless_back_end_reads_it.split("/")):
        raise _refused(T("The path holds a segment that climbs to another path."))
    return text


def path_matches(template: str, path: bytes) -> bool:
    """Whether ``path`` (raw, checked by ``decoded_path``) is one of those that ``template`` stands for.

    ``*`` and ``{name}`` stand for one segment that is not empty, ``**`` at the end for all the rest.  A path with an
    encoded slash must match both as it is written and as it decodes: back ends differ in what they make of it.
    """
    wanted = template.strip("/").split("/") if template.strip("/") else []
    whole = decoded_path(path)
    views = [whole.split("/")]
    if b"%2f" in path.lower():
        views.append([unquote_to_bytes(segment).decode("utf-8") for segment in path.split(b"/")])
    return all(_segments_match(wanted, _inner(view)) for view in views)


def joined_target(base_path: bytes, rest: bytes) -> bytes:
    """The target at a back end: its own path, then ``rest`` (path and query of the call) untouched.

    A slash at the end of the base and one at the beginning of ``rest`` become one; nothing else changes.
    """
    path, mark, query = rest.partition(b"?")
    if base_path.endswith(b"/") and path.startswith(b"/"):
        path = path[1:]
    return (base_path + path or b"/") + mark + query


def _inner(segments: list[str]) -> list[str]:
    """Without the empty text before the first slash and the one behind a last slash."""
    return segments[1:-1] if len(segments) > 1 and not segments[-1] else segments[1:]


def _segments_match(wanted: list[str], given: list[str]) -> bool:
    for index, want in enumerate(wanted):
        if want == "**" and index == len(wanted) - 1:
            return True
        if index >= len(given):
            return False
        if want == "*" or (want.startswith("{") and want.endswith("}")):
            if not given[index]:
                return False
        elif want != given[index]:
            return False
    return len(given) == len(wanted)


def _refused(message: str) -> PathRefused:
    return PathRefused(message, mend=T("Send the path in its plain form."))
