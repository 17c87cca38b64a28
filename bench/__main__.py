"""``make bench``: every measurement in turn, beside its anchor; the output is what docs/benchmarks.md quotes.

python -m bench [nodes streams records policy bulk addresses matching]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("nodes", "streams", "records", "policy", "bulk", "addresses", "matching")


def main() -> int:
    """Run the scripts named, or all; the first failure is the status."""
    chosen = sys.argv[1:] or list(SCRIPTS)
    for name in chosen:
        print(f"\n## {name}\n", flush=True)
        status = subprocess.run([sys.executable, str(Path(__file__).parent / f"{name}.py")], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
