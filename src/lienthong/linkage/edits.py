"""One slip of the finger: whether two keys differ by one letter wrong, missing, added, or by two neighbours swapped."""

from __future__ import annotations


def one_edit_apart(left: str, right: str) -> bool:
    """Whether the Damerau distance (optimal string alignment) of two texts is 1; False when they are equal."""
    if len(left) > len(right):
        left, right = right, left
    short, long = len(left), len(right)
    if long - short > 1 or left == right:
        return False
    start = 0
    while start < short and left[start] == right[start]:
        start += 1
    if short != long:
        return left[start:] == right[start + 1 :]
    if left[start + 1 :] == right[start + 1 :]:
        return True
    return left[start : start + 2] == right[start : start + 2][::-1] and left[start + 2 :] == right[start + 2 :]
