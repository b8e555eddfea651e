"""Repeats with scikit-learn what `trainer probe --dataset` measured, on the same features.

    python check_protocols.py RUN...

RUN is the folder of a run: its features.safetensors holds what the probes were fitted on and
measured with, its summary.json the scores. Differences come from single precision of our saved
probe; where scores tie to within that, a rank may differ, so 1e-5 is allowed.
"""

import json
import sys
from pathlib import Path

from safetensors.numpy import load_file

from protocol_reference import evaluate

ALLOWED = 1e-5


def check(run: Path) -> float:
    summary = json.loads((run / "summary.json").read_text())
    parts = {}
    for name, tensor in load_file(run / "features.safetensors").items():
        part, key = name.split("/")
        parts.setdefault(part, {})[key] = tensor
    expected, _ = evaluate(summary["dataset"], parts)
    worst = 0.0
    for score in summary["scores"]:
        names = [score["part"], score["metric"], score["output"]]
        name = "/".join(part for part in names if part)
        difference = abs(score["value"] - expected.pop(name))
        worst = max(worst, difference)
        print(f"{name:<32}{score['value']:>12.6f}{difference:>12.1e}")
    if expected:
        raise SystemExit(f"{run}: not reported: {', '.join(expected)}")
    return worst


def main() -> None:
    failed = []
    for run in map(Path, sys.argv[1:]):
        print(run)
        if check(run) > ALLOWED:
            failed.append(str(run))
    if failed or len(sys.argv) < 2:
        raise SystemExit(f"differs from scikit-learn: {', '.join(failed)}" if failed else __doc__)


if __name__ == "__main__":
    main()
