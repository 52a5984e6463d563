"""Two hundred kills: ``python tests/bench/chaos.py [kills] [seed]`` runs tests/delivery/test_chaos.py with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TEST = "tests/delivery/test_chaos.py::test_killed_at_random_moments"


def main() -> int:
    """Run it; what it counted is printed."""
    kills, seed = [*sys.argv[1:], "200", "1"][:2] if len(sys.argv) < 3 else sys.argv[1:3]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", TEST],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"CHAOS_KILLS": kills, "CHAOS_SEED": seed},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
