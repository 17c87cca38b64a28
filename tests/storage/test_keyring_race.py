"""Processes that start together agree on every key and secret, whoever makes it first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MAKE = """
import sys
from lienthong.storage.keyring import Keyring
from lienthong.trust.keys import public_jwk
from pathlib import Path
sys.stdin.readline()
ring = Keyring(Path(sys.argv[1]))
print(ring.secret("record-seal").hex(), public_jwk(ring.es256("VN/GOV/G01"))["x"],
      ring.ed25519("log").public_key().public_bytes_raw().hex())
"""


def test_processes_that_start_together_use_the_same_keys_and_those_stay(tmp_path: Path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for each in started:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.flush()

    told = {each.communicate(timeout=60)[0] for each in started}
    later = subprocess.run(
        [sys.executable, "-c", MAKE, str(tmp_path)], input="\n", capture_output=True, text=True, check=True
    )

    assert told == {later.stdout}
    assert len(later.stdout.split()) == 3
    assert not list(tmp_path.rglob(".*"))
