"""Is a damaged layer ranked first? Small networks in each of which one layer, drawn by seed, has a weight so large that
its scale leaves the others of the layer no digits; `benchharness sweep --sensitivity` has to name it.

python -m benchmarks.layers --seeds 20
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchharness.sensitivity import By, sensitivity
from tests.integration.test_sensitivity import damaged


def main() -> None:
    """Prints a line a seed, and how many were named first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--layers", type=int, default=4)
    asked = parser.parse_args()
    right = 0
    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            bad, model = damaged(place, seed, asked.layers)
            store = f"sqlite:///{place / 'runs.db'}"
            found = sensitivity(
                model, "int8", evaluate=place / "data.npz", by=By.BLOCK, out=place / "variants", store=store
            )
        first, second = found.ranking[:2]
        right += first.part.name == bad
        ranked = ", then ".join(f"{each.part.name} {each.loss.value:.1f} dB" for each in (first, second))
        print(f"seed {seed}: damaged {bad}; first {ranked}")
    print(f"named first: {right} of {asked.seeds}")


if __name__ == "__main__":
    main()
