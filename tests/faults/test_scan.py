"""The rules that the scanner holds against our source (tools/scan/rules.yml): each finds what it is for.

That the source has none of it is what `make lint` looks at.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "tools" / "scan" / "rules.yml"
SEMGREP = ROOT / ".venv-clients" / "bin" / "semgrep"
PLANTED = {
    "no-shell": ("os.system(name)", "subprocess.run(name, shell=True)", "asyncio.create_subprocess_shell(name)"),
    "no-code-from-outside": ("eval(name)", "pickle.loads(name)"),
    "no-unproven-markup": ("Markup(name)",),
    "no-unchecked-certificate": ("ssl._create_unverified_context()", "name.verify_mode = ssl.CERT_NONE"),
    "no-weak-hash": ("hashlib.md5(name)", "hashlib.sha1(name)"),
    "no-guessable-random": ("random.getrandbits(128)", "uuid.uuid1()"),
    "no-xml": ("import xml.etree.ElementTree",),
    "no-racy-file": ("tempfile.mktemp()",),
}


@pytest.mark.timeout(600)
def test_our_rules_find_what_they_are_for(tmp_path: Path) -> None:
    assert SEMGREP.exists(), "make clients"
    lines = [(rule, line) for rule, planted in PLANTED.items() for line in planted]
    (tmp_path / "planted.py").write_text("\n".join(line for _, line in lines))

    scanned = subprocess.run(
        [SEMGREP, "scan", "--metrics=off", "--disable-version-check", "--no-git-ignore", "--jobs=1", "--json",
         "--quiet", f"--config={RULES}", tmp_path],
        capture_output=True, check=False, env={"HOME": str(tmp_path), "PATH": f"{SEMGREP.parent}:/usr/bin:/bin"},
    )  # fmt: skip

    found = json.loads(scanned.stdout)["results"]
    told = {(one["check_id"].rsplit(".", 1)[1], one["start"]["line"]) for one in found}
    assert told == {(rule, number) for number, (rule, _) in enumerate(lines, 1)}
    assert set(re.findall(r"- id: (\S+)", RULES.read_text("utf-8"))) == PLANTED.keys(), "each rule has a planted line"


@pytest.mark.timeout(600)
def test_bytes_guided_by_coverage_find_nothing_in_seconds() -> None:
    """`.ci/run` and `make fuzz` give each parser a minute; here is shown that the way there works."""
    command = [sys.executable, ROOT / "tools" / "fuzz.py", "2", "checkpoint", "request head"]
    fuzzed = subprocess.run(
        command, capture_output=True, check=False, text=True, env=os.environ | {"PYTHONPATH": "src"}
    )

    assert fuzzed.stdout.splitlines() == ["read or refused  checkpoint", "read or refused  request head"], fuzzed
    assert fuzzed.returncode == 0
