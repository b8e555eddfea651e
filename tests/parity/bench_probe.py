"""Times 26 one-vs-rest logistic regressions on 10,000 x 512 features beside scikit-learn's solvers.

    python bench_probe.py TRAINER [--threads 1]

TRAINER is the program (target/release/trainer). Both sides get the same features and the same number
of threads; ours is `trainer bench --what probe`, the median of its calls after the first. `sag` runs
as the release has it (tolerance 1e-4, at most 2,000 iterations), wherever that stops; the other
solvers, from loose tolerances to tight ones, until the objective of every class is within 1e-6 of
the least that any solver found, relative to it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

C = 3.16
SAMPLES, WIDTH, CLASSES = 10_000, 512, 26
SOLVERS = ["lbfgs", "newton-cg", "newton-cholesky", "liblinear"]
TOLERANCES = [1e-4, 1e-6, 1e-8, 1e-10]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trainer", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--solvers", nargs="*", default=SOLVERS)
    parser.add_argument("--skip-sag", action="store_true", help="it takes minutes")
    args = parser.parse_args()
    # Read by the numeric libraries when they are loaded.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(args.threads)

    import numpy as np
    from safetensors.numpy import save_file
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2022)
    # Features as an encoder's: most of the spread along few directions, unit rows.
    x = rng.standard_normal((SAMPLES, WIDTH)) * np.geomspace(1, 0.05, WIDTH)
    x += 0.5 * rng.standard_normal(WIDTH)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    scores = 40 * (x - x.mean(0)) @ rng.standard_normal((WIDTH, CLASSES)) / np.sqrt(WIDTH)
    scores += rng.logistic(size=scores.shape)
    # From 2 % to 40 % positives, as the classes of BoLD are spread.
    shares = np.linspace(0.02, 0.4, CLASSES)
    y = np.stack([column > np.quantile(column, 1 - p) for column, p in zip(scores.T, shares)], 1)
    x64 = x.astype(np.float64)

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "problem.safetensors"
        save_file({"features": x, "targets": y.astype(np.float32)}, data)
        command = [args.trainer, "bench", "--what", "probe", "--data", data, "--json", "--quiet"]
        command += ["--repeats", str(args.repeats)]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def objective(model: LogisticRegression, k: int) -> float:
        score = x64 @ model.coef_[0] + model.intercept_[0]
        losses = np.logaddexp(0, np.where(y[:, k], -score, score))
        return float(losses.sum() + model.coef_[0] @ model.coef_[0] / (2 * C))

    def fit(**settings) -> tuple[float, np.ndarray]:
        """Seconds for all classes, and their objectives."""
        start, models = time.perf_counter(), []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for k in range(CLASSES):
                models.append(LogisticRegression(C=C, random_state=2022, **settings).fit(x64, y[:, k]))
        seconds = time.perf_counter() - start
        return seconds, np.array([objective(model, k) for k, model in enumerate(models)])

    rows = [("ours", "", ours["median_ms"] / 1e3, np.array(ours["objectives"]))]
    if not args.skip_sag:
        rows.append(("sag", "1e-4", *fit(solver="sag", tol=1e-4, max_iter=2000)))
    for solver in args.solvers:
        # liblinear penalises the bias, unless the bias is scaled up until that no longer counts.
        extra = {"intercept_scaling": 1e4} if solver == "liblinear" else {}
        for tolerance in TOLERANCES:
            seconds, found = fit(solver=solver, tol=tolerance, max_iter=10_000, **extra)
            rows.append((solver, f"{tolerance:.0e}", seconds, found))
            best = np.min([row[3] for row in rows], axis=0)
            if ((found - best) / best).max() <= 1e-6 or seconds > 20 * rows[0][2]:
                break
    best = np.min([row[3] for row in rows], axis=0)
    print(f"{args.threads} thread(s), {SAMPLES} x {WIDTH}, {CLASSES} classes")
    print(f"{'solver':<18}{'tolerance':>10}{'seconds':>10}{'over ours':>11}{'excess objective':>18}")
    for name, tolerance, seconds, found in rows:
        excess = ((found - best) / best).max()
        ratio = seconds / rows[0][2]
        print(f"{name:<18}{tolerance:>10}{seconds:>10.2f}{ratio:>11.1f}{excess:>18.1e}")


if __name__ == "__main__":
    sys.exit(main())
