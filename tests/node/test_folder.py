"""One process serves a data folder; a second one is told so, and may once the first has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lienthong.node.supervise import AlreadyServing, lock_folder

HOLD = """
import sys
from pathlib import Path
from lienthong.node.supervise import lock_folder
lock_folder(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_while_the_first_serves_and_let_in_after_it_was_killed(tmp_path: Path):
    folder = tmp_path / "not made yet"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"

        with pytest.raises(AlreadyServing) as refused:
            lock_folder(folder)

        assert refused.value.kind == "already-serving"
        assert str(folder) in str(refused.value)
        assert refused.value.mend
        first.kill()
        first.wait()

    os.close(lock_folder(folder))
