"""How likely two records mean one person: a sum of weights, one a level, and the words that say why.

The weights in ``weights.toml`` are a logistic regression over patterns with known answers
(``tools/train_matching.py``): fields that go together in a household (commune, street, family name, telephone) share
what they say, where a product of independent fields would count it several times.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from lienthong.linkage.matching.pairs import FIELDS_COMPARED, Pattern


@dataclass(frozen=True, slots=True)
class Weights:
    """``bias`` and the weight of each level, natural logarithms of odds; ``trained_on`` says on what."""

    bias: float
    levels: Mapping[str, Sequence[float]]
    trained_on: str = ""

    def score(self, pattern: Pattern) -> float:
        """Probability (0-1) that the two records mean one person."""
        total = self.bias + sum(weight for _, _, weight in self.reasons(pattern))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))

    def reasons(self, pattern: Pattern) -> list[tuple[str, str, float]]:
        """Field, level and weight, what says most first."""
        said = [(name, word, self.levels[name][level]) for (name, word), level in _read(pattern)]
        return sorted(said, key=lambda each: -abs(each[2]))


def _read(pattern: Pattern) -> list[tuple[tuple[str, str], int]]:
    return list(zip(pattern.words.items(), pattern.levels, strict=True))


@cache
def shipped_weights() -> Weights:
    """The weights that come with the program."""
    text = resources.files("lienthong.linkage.matching").joinpath("weights.toml").read_text("utf-8")
    told = tomllib.loads(text)
    levels = {name: [float(told["levels"][name][word]) for word in words] for name, words in FIELDS_COMPARED.items()}
    return Weights(float(told["bias"]), levels, str(told["trained_on"]))
