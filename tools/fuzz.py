"""Bytes guided by coverage (atheris) for the parsers of bytes from outside: ``tools/fuzz.py SECONDS [NAME ...]``.

The parsers and what is valid for each are those of tests/faults/test_bytes.py.  A parser may refuse with a Problem;
what else it raises is printed with the bytes and ends the round with exit status 1.  Atheris lives with the foreign
programs (.venv-clients): their folder is looked into for it alone, since some of them bring a package called tests.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOREIGN = next((ROOT / ".venv-clients" / "lib").glob("python3*/site-packages"), None)


def fuzz_one(name: str, seconds: int) -> None:
    """Fuzz one parser in this process, which libFuzzer ends."""
    sys.path.append(str(FOREIGN))
    import atheris  # type: ignore[import-not-found]  # of the other environment, and only to be imported in a child

    sys.path[-1] = str(ROOT)
    # hypothesis, numpy and the like are of no interest: what is ours, and what reads bytes for us.
    with atheris.instrument_imports(include=["lienthong", "joserfc", "orjson", "httptools", "tuf"]):
        from lienthong.errors import Problem
        from tests.faults.test_bytes import PARSERS
    parser, valid = PARSERS[name]

    def read(octets: bytes) -> None:
        with suppress(Problem):
            parser(octets)

    with tempfile.TemporaryDirectory(prefix="lt-atheris-") as corpus:
        (Path(corpus) / "valid").write_bytes(valid)
        options = [f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=2048", "-timeout=120", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={ROOT}/fuzz-", corpus], read)
        atheris.Fuzz()


def fuzz_all(seconds: int, names: list[str]) -> int:
    """Every parser in a process of its own; how many of them raised what they may not."""
    listed = "from tests.faults.test_bytes import PARSERS; print(*PARSERS, sep='\\n')"
    known = subprocess.run([sys.executable, "-c", listed], cwd=ROOT, capture_output=True, text=True, check=True)
    failed = 0
    for name in names or known.stdout.splitlines():
        one = [sys.executable, __file__, "--one", name, str(seconds)]
        ended = subprocess.run(one, cwd=ROOT, check=False, capture_output=True, text=True, errors="replace")
        print(f"{'read or refused' if ended.returncode == 0 else 'FAILED':16} {name}", flush=True)
        if ended.returncode:
            print(ended.stdout + ended.stderr, flush=True)
        failed += ended.returncode != 0
    return failed


if __name__ == "__main__":
    if FOREIGN is None:
        sys.exit("atheris is not here: make clients")
    if sys.argv[1] == "--one":
        fuzz_one(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(min(1, fuzz_all(int(sys.argv[1]), sys.argv[2:])))
