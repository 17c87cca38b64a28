"""The tree is that of RFC 9162, and no wrong proof passes: every tree up to 70 leaves, beside two other trees."""

from __future__ import annotations

import itertools
from hashlib import sha256

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.trust import merkle
from lienthong.trust.merkle import WrongProof, leaf_hash, node_hash, verify_consistency, verify_inclusion
from tests.trust import textbook

LARGEST = 70
ENTRIES = [b"entry %d" % n for n in range(LARGEST)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
ROOTS = [merkle.root_of(LEAVES[:size]) for size in range(LARGEST + 1)]
NODES = [LEAVES]
while len(NODES[-1]) > 1:
    NODES.append([node_hash(*NODES[-1][at : at + 2]) for at in range(0, len(NODES[-1]) // 2 * 2, 2)])


def get_hash(level: int, index: int) -> bytes:
    return NODES[level][index]


# The eight leaves and roots that Certificate Transparency's first implementation published and others repeat.
KNOWN_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.conformance
def test_the_known_roots_come_out():
    assert sha256(b"").digest() == merkle.EMPTY_ROOT
    for size, root in enumerate(KNOWN_ROOTS, start=1):
        assert merkle.root_of(map(leaf_hash, KNOWN_LEAVES[:size])).hex() == root


@pytest.mark.conformance
def test_the_worked_tree_of_seven_leaves():
    # RFC 6962, section 2.1.3 and RFC 9162, section 2.1.5, with the letters of their drawing.
    a, b, c, d, e, f, j = LEAVES[:7]
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741 - the RFC's letter

    assert ROOTS[7] == node_hash(k, l)
    assert merkle.inclusion_proof(get_hash, 0, 7) == [b, h, l]
    assert merkle.inclusion_proof(get_hash, 3, 7) == [c, g, l]
    assert merkle.inclusion_proof(get_hash, 4, 7) == [f, j, k]
    assert merkle.inclusion_proof(get_hash, 6, 7) == [i, k]
    assert merkle.consistency_proof(get_hash, 3, 7) == [c, d, g, l]
    assert merkle.consistency_proof(get_hash, 4, 7) == [l]
    assert merkle.consistency_proof(get_hash, 6, 7) == [i, j, k]


@pytest.fixture(scope="module")
def oracle():
    tree = pymerkle.InmemoryTree()
    tree.append_entries(ENTRIES)
    return tree


@pytest.mark.conformance
@pytest.mark.parametrize("size", range(1, LARGEST + 1))
def test_roots_and_paths_are_those_of_pymerkle_and_of_the_rfcs_text(oracle, size):
    assert ROOTS[size] == oracle.get_root(size) == textbook.mth(ENTRIES[:size])
    assert merkle.root_at(get_hash, size) == ROOTS[size]
    for index in range(size):
        mine = merkle.inclusion_proof(get_hash, index, size)
        foreign = oracle.prove_inclusion(index + 1, size)
        assert mine == textbook.path(index, ENTRIES[:size])
        assert [LEAVES[index], *mine] == foreign.path
        verify_inclusion(LEAVES[index], index, size, foreign.path[1:], oracle.get_root(size))


@pytest.mark.conformance
@pytest.mark.parametrize("size", range(1, LARGEST + 1))
def test_consistency_proofs_are_those_of_the_rfcs_text_and_lead_to_the_roots_of_pymerkle(oracle, size):
    for old in range(1, size + 1):
        mine = merkle.consistency_proof(get_hash, old, size)
        assert mine == textbook.proof(old, ENTRIES[:size])
        verify_consistency(old, size, mine, oracle.get_root(old), oracle.get_root(size))


def _bent(path: list[bytes]) -> list[tuple[str, list[bytes]]]:
    """Every way to spoil a path of hashes."""
    other = sha256(b"other").digest()
    bent = [
        ("longer at the end", [*path, other]),
        ("longer at the start", [other, *path]),
        ("the empty root at the end", [*path, merkle.EMPTY_ROOT]),
        ("a hash too long", [*path[:-1], (path[-1:] or [b""])[0] + b"\0"]),
        ("a hash too short", [*path[:-1], (path[-1:] or [b"\0"])[0][:-1]]),
    ]
    if path:
        bent += [
            ("shorter at the end", path[:-1]),
            ("shorter at the start", path[1:]),
            ("the last twice", [*path, path[-1]]),
            ("the first twice", [path[0], *path]),
            ("all in one", [b"".join(path)] if len(path) > 1 else [path[0] * 2]),
            ("in the wrong order", path[::-1] if path != path[::-1] else [other]),
        ]
    bent += [(f"hash {at} changed", [*path[:at], other, *path[at + 1 :]]) for at in range(len(path))]
    bent += [
        (f"bit of hash {at} changed", [*path[:at], bytes([path[at][0] ^ 1]) + path[at][1:], *path[at + 1 :]])
        for at in range(len(path))
    ]
    return bent


def _holds(verify, case) -> bool:
    try:
        verify(*case)
    except WrongProof:
        return False
    return True


@pytest.mark.parametrize("size", range(1, LARGEST + 1))
def test_no_wrong_inclusion_proof_passes(size):
    root, other = ROOTS[size], sha256(b"other").digest()
    for index in range(size):
        leaf, path = LEAVES[index], merkle.inclusion_proof(get_hash, index, size)
        wrong = [(name, (leaf, index, size, bent, root)) for name, bent in _bent(path)]
        wrong += [
            ("index at the size", (leaf, size, size, path, root)),
            ("index beyond the size", (leaf, index + size, size, path, root)),
            ("index below nought", (leaf, -1, size, path, root)),
            ("index of the neighbour", (leaf, index ^ 1, size, path, root)),
            ("twice the size", (leaf, index, size * 2, path, root)),
            ("half the size", (leaf, index, size // 2, path, root)),
            ("no size", (leaf, index, 0, path, root)),
            ("another leaf", (other, index, size, path, root)),
            ("the root for the leaf", (root, index, size, path, root) if size > 1 else (other, 0, 1, path, root)),
            ("another root", (leaf, index, size, path, other)),
            ("the empty root", (leaf, index, size, path, merkle.EMPTY_ROOT)),
            ("no root", (leaf, index, size, path, b"")),
            ("a short root", (leaf, index, size, path, root[:-1])),
            ("a short leaf", (leaf[:-1], index, size, path, root)),
        ]
        for name, case in wrong:
            assert not _holds(verify_inclusion, case), f"{name} for leaf {index} of {size}"


@pytest.mark.parametrize("new", range(1, LARGEST + 1))
def test_no_wrong_consistency_proof_passes(new):
    other = sha256(b"other").digest()
    for old in range(1, new + 1):
        path = merkle.consistency_proof(get_hash, old, new)
        old_root, new_root = ROOTS[old], ROOTS[new]
        wrong = [(name, (old, new, bent, old_root, new_root)) for name, bent in _bent(path)]
        wrong += [
            ("from the empty tree", (0, new, path, merkle.EMPTY_ROOT, new_root)),
            ("from the empty tree without proof", (0, new, [], merkle.EMPTY_ROOT, new_root)),
            ("between empty trees", (0, 0, [], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT)),
            ("to the empty tree", (old, 0, path, old_root, merkle.EMPTY_ROOT)),
            ("from a size below nought", (-1, new, path, old_root, new_root)),
            ("to a size twice as large", (old, new * 2, path, old_root, new_root)),
            ("another old root", (old, new, path, other, new_root)),
            ("another new root", (old, new, path, old_root, other)),
            ("the empty old root", (old, new, path, merkle.EMPTY_ROOT, new_root)),
            ("a short old root", (old, new, path, old_root[:-1], new_root)),
            ("a long new root", (old, new, path, old_root, new_root + b"\0")),
        ]
        if old != new:
            wrong += [
                ("backwards", (new, old, path, new_root, old_root)),
                ("roots exchanged", (old, new, path, new_root, old_root)),
                ("no proof", (old, new, [], old_root, new_root)),
                ("one size, two roots", (new, new, [], old_root, new_root)),
            ]
        for name, case in wrong:
            assert not _holds(verify_consistency, case), f"{name} from {old} to {new}"


def test_a_proof_of_another_entry_or_size_does_not_pass():
    for size in range(2, 34):
        for index, asked in itertools.permutations(range(size), 2):
            with pytest.raises(WrongProof):
                verify_inclusion(LEAVES[asked], asked, size, merkle.inclusion_proof(get_hash, index, size), ROOTS[size])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3), (4, 3)])
def test_there_is_no_proof_for_a_leaf_outside_the_tree(index, size):
    with pytest.raises(IndexError):
        merkle.inclusion_proof(get_hash, index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 3), (-1, 3), (4, 3)])
def test_there_is_no_consistency_proof_from_nothing_or_backwards(old, new):
    with pytest.raises(IndexError):
        merkle.consistency_proof(get_hash, old, new)


@pytest.mark.parametrize("digest", [b"", b"short", bytes(33)])
def test_what_is_no_hash_is_not_even_its_own_root(digest):
    with pytest.raises(WrongProof):
        verify_inclusion(digest, 0, 1, [], digest)
    with pytest.raises(WrongProof):
        verify_consistency(1, 1, [], digest, digest)


def test_a_stored_frontier_goes_on_where_it_stopped():
    for cut in range(LARGEST):
        before = merkle.Frontier()
        for leaf in LEAVES[:cut]:
            before.append(leaf)
        after = merkle.Frontier.from_bytes(before.to_bytes())
        assert (after.size, after.root()) == (cut, ROOTS[cut])
        for leaf in LEAVES[cut:]:
            after.append(leaf)
        assert (after.size, after.root()) == (LARGEST, ROOTS[LARGEST])


@pytest.mark.parametrize("stored", [b"", bytes(7), bytes(8) + bytes(32), (3).to_bytes(8, "big") + bytes(32), bytes(9)])
def test_damaged_frontiers_are_not_read(stored):
    with pytest.raises(ValueError, match="frontier"):
        merkle.Frontier.from_bytes(stored)


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=120), st.data())
def test_any_list_of_entries_proves_each_of_its_entries_and_beginnings(entries, data):
    leaves = [leaf_hash(entry) for entry in entries]
    size = len(leaves)

    def hash_of(level: int, index: int) -> bytes:
        return textbook.mth(entries[index << level : (index + 1) << level])

    root = merkle.root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))

    assert root == textbook.mth(entries)
    verify_inclusion(leaves[index], index, size, merkle.inclusion_proof(hash_of, index, size), root)
    verify_consistency(old, size, merkle.consistency_proof(hash_of, old, size), merkle.root_of(leaves[:old]), root)


@given(
    st.integers(-2, 1 << 70),
    st.integers(-2, 1 << 70),
    st.lists(st.binary(min_size=31, max_size=33), max_size=80),
    st.binary(min_size=32, max_size=32),
)
def test_made_up_proofs_end_in_a_refusal(index, size, path, digest):
    with pytest.raises(WrongProof):
        verify_inclusion(digest, index, size, path, sha256(digest).digest())
    with pytest.raises(WrongProof):
        verify_consistency(index, size, path, digest, sha256(digest).digest())
