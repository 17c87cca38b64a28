"""What is authorised is what is forwarded: paths that could be two things are refused."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.exchange.paths import PathRefused, decoded_path, joined_target, path_matches

REFUSED = [
    b"/..",
    b"/a/../b",
    b"/a/..",
    b"/%2e%2e/b",
    b"/a/%2E./b",
    b"/a/.%2e",
    b"/a%2f..%2fb",
    b"/a/..%2fb",
    b"/%252e%252e/b",
    b"/a/%252e./b",
    b"/a/%252f../b",
    b"/a/%255c..",
    b"/./a",
    b"/a/%2e/b",
    b"/a/..;x=1/b",
    b"/a/%2e%2e;/b",
    b"/a\\..\\b",
    b"/a%5cb",
    b"/a%00",
    b"/a%0d%0ab",
    b"/a%7f",
    b"/a%",
    b"/a%4",
    b"/a%zz",
    b"/%ff",
    b"/%c0%ae%c0%ae/",
    b"/%ed%a0%80",
]


@pytest.mark.parametrize("path", REFUSED)
def test_a_path_that_could_lead_elsewhere_is_refused(path: bytes) -> None:
    with pytest.raises(PathRefused) as refused:
        decoded_path(path)
    assert refused.value.kind == "path-refused"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"", ""),
        (b"/", "/"),
        (b"/a/b/", "/a/b/"),
        (b"/a%20b/%C3%B6", "/a b/ö"),
        (b"/a%2Fb", "/a/b"),
        (b"/...", "/..."),
        (b"/a..b/.well-known/x.", "/a..b/.well-known/x."),
        (b"/path%3B/", "/path;/"),
        (b"/100%25", "/100%"),
        (b"/a//b", "/a//b"),
    ],
)
def test_a_plain_path_is_decoded_once(path: bytes, text: str) -> None:
    assert decoded_path(path) == text


@pytest.mark.parametrize(
    ("template", "path", "fits"),
    [
        ("/pet/*", b"/pet/7", True),
        ("/pet/{id}", b"/pet/7", True),
        ("/pet/*", b"/pet/7/", True),
        ("/pet/*", b"/pet/", False),
        ("/pet/*", b"/pet", False),
        ("/pet/*", b"/pet//", False),
        ("/pet/*", b"/pet/7/toys", False),
        ("/pet/*", b"/pet/7%2Ftoys", False),
        ("/pet/*/toys", b"/pet/7/toys", True),
        ("/pet/*/toys", b"/pet//toys", False),
        ("/pet/*/toys", b"/pet/7%2Ftoys", False),
        ("/pet/**", b"/pet/7%2Ftoys", True),
        ("/pet/**", b"/pet/7/toys/9", True),
        ("/pet/**", b"/pets/7", False),
        ("**", b"/anything/at/all", True),
        ("**", b"", True),
        ("/", b"", True),
        ("/", b"/", True),
        ("/", b"/a", False),
        ("/Pet", b"/pet", False),
        ("/öl", b"/%C3%B6l", True),
        ("/pet", b"/p%65t", True),
    ],
)
def test_an_endpoint_stands_for_exactly_its_paths(template: str, path: bytes, fits: bool) -> None:
    assert path_matches(template, path) is fits


@pytest.mark.parametrize("path", REFUSED)
def test_no_endpoint_stands_for_an_ambiguous_path(path: bytes) -> None:
    with pytest.raises(PathRefused):
        path_matches("/**", path)


@pytest.mark.parametrize(
    ("base", "rest", "target"),
    [
        (b"/api", b"", b"/api"),
        (b"/api", b"/", b"/api/"),
        (b"/api", b"/x", b"/api/x"),
        (b"/api/", b"", b"/api/"),
        (b"/api/", b"/", b"/api/"),
        (b"/api/", b"/x/", b"/api/x/"),
        (b"/api/", b"//x", b"/api//x"),
        (b"", b"", b"/"),
        (b"", b"/", b"/"),
        (b"", b"/x%2Fy?a=%20&b?", b"/x%2Fy?a=%20&b?"),
        (b"/", b"/x?", b"/x?"),
        (b"/api", b"?q=/", b"/api?q=/"),
        (b"", b"?q=1", b"/?q=1"),
    ],
)
def test_the_paths_are_joined_by_one_slash_and_else_untouched(base: bytes, rest: bytes, target: bytes) -> None:
    assert joined_target(base, rest) == target


@given(
    st.lists(
        st.sampled_from(["a", "..", ".", "%2e", "%2E%2e", ";", "%2f", "%5c", "\\", "%25", "2e", "2f", "5c", "/"])
    ).map("".join)
)
def test_no_spelling_of_a_climbing_path_gets_through(spelling: str) -> None:
    """Whatever is let through does not climb for a back end that decodes once more and resolves dots."""
    path = b"/" + spelling.encode()
    try:
        text = decoded_path(path)
    except PathRefused:
        return
    again = unquote(text).replace("\\", "/")
    assert not {".", ".."} & {segment.partition(";")[0] for segment in again.split("/")}
