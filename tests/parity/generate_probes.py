"""Makes goldens/probes.safetensors: probe solvers and metrics as scikit-learn and scipy have them.

    python generate_probes.py

Features are float32 (what an encoder gives), everything else is float64 or int64. Each logistic
reference is scikit-learn's `newton-cholesky` at the tightest tolerance; the header's `config` entry
keeps its objective and the norm of its own gradient, from which the test derives how far apart two
solutions may lie.
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save_file
from scipy.signal import savgol_filter
from scipy.special import expit, log_softmax, softmax
from sklearn import metrics
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression, Ridge

GOLDENS = Path(__file__).parent / "goldens"
SIZE_LIMIT = 300_000

Arrays = dict[str, np.ndarray]


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def noisy_scores(
    rng: np.random.Generator, x: np.ndarray, outputs: int, noise: float = 1.0
) -> np.ndarray:
    """Linear scores of standardised features plus logistic noise, so that no class is separable."""
    standard = (x - x.mean(0)) / (x.std(0) + 1e-12)
    weights = rng.standard_normal((x.shape[1], outputs)) / np.sqrt(x.shape[1])
    return 2 * standard @ weights + noise * rng.logistic(size=(len(x), outputs))


def above_quantile(scores: np.ndarray, prevalence: list[float]) -> np.ndarray:
    thresholds = [np.quantile(scores[:, k], 1 - p) for k, p in enumerate(prevalence)]
    return scores > np.array(thresholds)


def gradient_norm(x: np.ndarray, residual: np.ndarray, weights: np.ndarray, c: float) -> float:
    """Norm of the gradient of sum(log loss) + |w|^2 / (2C); `residual` is p - y, `[N, K]`."""
    of_weights = residual.T @ x + weights / c
    return float(np.sqrt((of_weights**2).sum() + (residual.sum(0) ** 2).sum()))


def fit(x: np.ndarray, y: np.ndarray, c: float) -> LogisticRegression:
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    with warnings.catch_warnings():
        # The tolerance is below what rounding allows: the solver runs until nothing improves.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def one_vs_rest(x: np.ndarray, targets: np.ndarray, c: float) -> tuple[Arrays, dict]:
    """A binary fit a column; a constant column has no fit, weights 0 and its constant."""
    x = x.astype(np.float64)
    classes = targets.shape[1]
    weights, bias = np.zeros((classes, x.shape[1])), np.zeros(classes)
    probabilities = targets.astype(np.float64)
    objective, gradient, curvature = [0.0] * classes, [0.0] * classes, [0.0] * classes
    for k in range(classes):
        y = targets[:, k].astype(int)
        if y.min() == y.max():
            continue
        model = fit(x, y, c)
        weights[k], bias[k] = model.coef_[0], model.intercept_[0]
        score = x @ weights[k] + bias[k]
        p = probabilities[:, k] = expit(score)
        losses = np.logaddexp(0, np.where(y == 1, -score, score))
        objective[k] = losses.sum() + weights[k] @ weights[k] / (2 * c)
        gradient[k] = gradient_norm(x, (p - y)[:, None], weights[k][None], c)
        curvature[k] = float((p * (1 - p)).sum())
    arrays = {"weights": weights, "bias": bias, "probabilities": probabilities}
    return arrays, {"objective": objective, "gradient": gradient, "bias_curvature": curvature}


def multinomial(x: np.ndarray, labels: np.ndarray, c: float, classes: int) -> tuple[Arrays, dict]:
    """One softmax; with two classes scikit-learn's single vector is stored as -w/2 and w/2."""
    x = x.astype(np.float64)
    model = fit(x, labels, c)
    present = model.classes_
    binary = len(present) == 2
    halves = (lambda a: np.stack([-a[0] / 2, a[0] / 2])) if binary else (lambda a: a)
    coef, intercept = halves(model.coef_), halves(model.intercept_)
    score = x @ coef.T + intercept
    p = softmax(score, axis=1)
    y = labels[:, None] == present[None]
    # The penalty of the single vector w, of which each half holds |w|^2 / 4.
    penalty = (coef**2).sum() * (2 if binary else 1)
    objective = -log_softmax(score, axis=1)[y].sum() + penalty / (2 * c)
    effective_c = c / 2 if binary else c
    hessian = np.diag(p.sum(0)) - p.T @ p
    weights, bias = np.zeros((classes, x.shape[1])), np.zeros(classes)
    probabilities = np.zeros((len(x), classes))
    weights[present], bias[present], probabilities[:, present] = coef, intercept, p
    arrays = {"weights": weights, "bias": bias, "probabilities": probabilities}
    facts = {
        "objective": [float(objective)],
        "gradient": [gradient_norm(x, p - y, coef, effective_c)],
        # The smallest is 0: the loss does not see a shift of all biases.
        "bias_curvature": [float(np.linalg.eigvalsh(hessian)[1])],
    }
    return arrays, facts


class LogisticCase(NamedTuple):
    name: str
    kind: str
    c: float
    x: np.ndarray
    y: np.ndarray
    """Labels `[N]`, or targets `[N, K]` for one-vs-rest."""
    classes: int


def one_vs_rest_cases(rng: np.random.Generator) -> list[LogisticCase]:
    def case(name: str, c: float, x: np.ndarray, y: np.ndarray) -> LogisticCase:
        return LogisticCase(name, "one_vs_rest", c, x, y, y.shape[1])

    def targets(x: np.ndarray, *prevalence: float) -> np.ndarray:
        return above_quantile(noisy_scores(rng, x, len(prevalence)), list(prevalence))

    imbalanced = normal(rng, 200, 8)
    constant = np.tile([False, True], (200, 1))
    with_constant = np.concatenate([targets(imbalanced, 0.005, 0.03, 0.5, 0.99), constant], 1)
    separable, side = separable_features(rng)
    deficient = deficient_features(rng)
    wide = normal(rng, 24, 60)
    single = normal(rng, 50, 1)
    scales = np.array([1e-3, 1e-1, 1.0, 30.0, 1e3], np.float32)
    scaled = normal(rng, 80, 5) * scales + scales
    identical = np.full((12, 3), 0.25, np.float32)
    return [
        case("imbalanced_and_constant", 3.16, imbalanced, with_constant),
        case("separable", 1.0, separable, np.stack([side, ~side], 1)),
        case("separable_high_c", 1e5, separable, side[:, None]),
        case("rank_deficient", 10.0, deficient, targets(deficient, 0.3, 0.5)),
        case("more_features_than_samples", 3.16, wide, targets(wide, 0.2, 0.5, 0.7)),
        case("single_feature", 1.0, single, targets(single, 0.4)),
        case("unequal_scales", 1.0, scaled, targets(scaled, 0.5, 0.2)),
        case("identical_rows", 1.0, identical, (np.arange(12) % 4 == 0)[:, None]),
    ]


def multinomial_cases(rng: np.random.Generator) -> list[LogisticCase]:
    def case(name: str, c: float, x: np.ndarray, y: np.ndarray, classes: int) -> LogisticCase:
        return LogisticCase(name, "multinomial", c, x, y, classes)

    def labels(x: np.ndarray, classes: int, noise: float = 1.0) -> np.ndarray:
        return noisy_scores(rng, x, classes, noise).argmax(1)

    ordinary = normal(rng, 160, 12) + 0.5
    unit = ordinary / np.linalg.norm(ordinary, axis=1, keepdims=True)
    two = normal(rng, 60, 5)
    separable, _ = separable_features(rng)
    deficient = deficient_features(rng)
    wide = normal(rng, 24, 60)
    with_gaps = np.array([0, 2, 3, 5])[labels(ordinary, 4)]
    return [
        case("seven_classes", 8.0, unit, labels(ordinary, 7), 7),
        case("two_classes", 2.5, two, labels(two, 2), 2),
        case("absent_classes", 1.0, ordinary, with_gaps, 6),
        case("separable_classes_high_c", 1e4, separable, labels(separable, 3, 0.0), 3),
        case("rank_deficient_classes", 100.0, deficient, labels(deficient, 3), 3),
        case("more_features_than_samples_classes", 8.0, wide, labels(wide, 4), 4),
    ]


def separable_features(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a gap along one direction, and the side each is on."""
    x = normal(rng, 40, 3)
    along = x @ np.array([1.0, -0.5, 0.2])
    apart = np.abs(along) > 0.3
    return x[apart], along[apart] > 0


def deficient_features(rng: np.random.Generator) -> np.ndarray:
    """Rank 3 of 7 columns: one twice, two combinations, one constant."""
    low = normal(rng, 60, 3)
    ones = np.ones((60, 1), np.float32)
    return np.concatenate([low, low[:, :1], low @ normal(rng, 3, 2), ones], 1)


def logistic(rng: np.random.Generator, tensors: Arrays) -> list[dict]:
    cases = []
    for name, kind, c, x, y, classes in one_vs_rest_cases(rng) + multinomial_cases(rng):
        if kind == "one_vs_rest":
            arrays, facts = one_vs_rest(x, y, c)
        else:
            arrays, facts = multinomial(x, y, c, classes)
        assert max(facts["gradient"]) < 1e-6, (name, facts["gradient"])
        tensors[f"{name}/features"] = x
        tensors[f"{name}/targets"] = y.astype(np.int64)
        for key, value in arrays.items():
            tensors[f"{name}/{key}"] = value
        cases.append({"name": name, "kind": kind, "c": c, "classes": classes, **facts})
    return cases


def ridge(rng: np.random.Generator, tensors: Arrays) -> list[dict]:
    tall = normal(rng, 90, 7) + 1
    wide = normal(rng, 15, 40)
    low = normal(rng, 50, 2)
    deficient = np.concatenate([low, low, np.ones((50, 1), np.float32)], 1)
    cases = []
    for name, alpha, x, outputs in [
        ("ridge_three_outputs", 1.0, tall, 3),
        ("ridge_more_features_than_samples", 1.0, wide, 2),
        ("ridge_rank_deficient", 0.1, deficient, 1),
    ]:
        y = (noisy_scores(rng, x, outputs, 0.3) + 5).astype(np.float32)
        model = Ridge(alpha=alpha, solver="svd").fit(x.astype(np.float64), y.astype(np.float64))
        tensors[f"{name}/features"] = x
        tensors[f"{name}/targets"] = y
        tensors[f"{name}/weights"] = model.coef_.reshape(outputs, -1)
        tensors[f"{name}/bias"] = np.asarray(model.intercept_).reshape(outputs)
        cases.append({"name": name, "alpha": alpha, "outputs": outputs})
    return cases


def multi_label_metrics(rng: np.random.Generator, tensors: Arrays) -> dict:
    """Scores with many ties; class 2 never occurs, class 4 always, some samples have no label."""
    samples, classes = 150, 6
    latent = rng.standard_normal((samples, classes))
    truth = latent + rng.standard_normal((samples, classes)) > 0.8
    truth[:10] = False
    truth[:, 2] = False
    with_all = truth.copy()
    with_all[:, 4] = True
    scores = np.round(expit(latent), 2)
    # The first guess must not hang on the order of equal scores.
    distinct = scores + 1e-4 * rng.permuted(np.tile(np.arange(classes), (samples, 1)), axis=1)
    tensors["multi_label/truth"] = with_all.astype(np.int64)
    tensors["multi_label/scores"] = scores
    tensors["multi_label/distinct_scores"] = distinct
    tensors["multi_label/sparse_truth"] = truth.astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        precision = metrics.average_precision_score(with_all, scores, average=None)
        macro = metrics.average_precision_score(with_all, scores, average="macro")
    defined = [0, 1, 3, 5]
    area = [metrics.roc_auc_score(with_all[:, k], scores[:, k]) for k in defined]
    hits = truth[np.arange(samples), distinct.argmax(1)]
    return {
        "classes": classes,
        "average_precision": precision.tolist(),
        "macro_average_precision": float(macro),
        "absent": [2],
        "auc": dict(zip(map(str, defined), area)),
        "macro_auc": float(np.mean(area)),
        "without_auc": [2, 4],
        "top1_hit_rate": float(hits.mean()),
    }


def single_label_metrics(rng: np.random.Generator, tensors: Arrays) -> dict:
    """Class 3 is only predicted, class 5 does not occur at all."""
    truth = rng.choice([0, 1, 2, 4], size=200, p=[0.5, 0.3, 0.15, 0.05])
    predicted = np.where(rng.random(200) < 0.6, truth, rng.choice([0, 1, 2, 3, 4], size=200))
    tensors["single_label/truth"] = truth
    tensors["single_label/predicted"] = predicted
    def averaged(metric: Callable, average: str) -> float:
        return float(metric(truth, predicted, average=average, zero_division=0))

    return {
        "classes": 6,
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "weighted_f1": averaged(metrics.f1_score, "weighted"),
        "macro_f1": averaged(metrics.f1_score, "macro"),
        "unweighted_average_recall": averaged(metrics.recall_score, "macro"),
        "weighted_average_recall": averaged(metrics.recall_score, "weighted"),
        "confusion": metrics.confusion_matrix(truth, predicted, labels=range(6)).ravel().tolist(),
    }


def regression_metrics(rng: np.random.Generator, tensors: Arrays) -> dict:
    truth = rng.standard_normal((120, 3)) * [1.0, 0.05, 3.0] + [0.0, 0.5, 100.0]
    noise = 0.4 * rng.standard_normal((120, 3)) * [1.0, 0.05, 3.0]
    predicted = 0.6 * truth + noise + [0.1, 0.2, 40.0]
    tensors["regression/truth"] = truth
    tensors["regression/predicted"] = predicted
    outputs = []
    for y, p in zip(truth.T, predicted.T):
        centred_y, centred_p = y - y.mean(), p - p.mean()
        covariance, variances = (centred_y * centred_p).mean(), y.var() + p.var()
        offset = (y.mean() - p.mean()) ** 2
        scale = np.sqrt((centred_y**2).sum() * (centred_p**2).sum()) + 1e-5
        emoclip = (centred_y * centred_p).sum() / scale
        emoclip_covariance = emoclip * y.std() * p.std()
        outputs.append({
            "mean_squared_error": float(metrics.mean_squared_error(y, p)),
            "root_mean_squared_error": float(metrics.root_mean_squared_error(y, p)),
            "mean_absolute_error": float(metrics.mean_absolute_error(y, p)),
            "r2": float(metrics.r2_score(y, p)),
            "pearson": float(np.corrcoef(y, p)[0, 1]),
            "concordance": float(2 * covariance / (variances + offset)),
            "emoclip_pearson": float(emoclip),
            "emoclip_concordance": float(2 * emoclip_covariance / (variances + offset + 1e-5)),
        })
    mean = float(metrics.r2_score(truth, predicted, multioutput="uniform_average"))
    return {"outputs": outputs, "mean_r2": mean}


def retrieval_metrics(rng: np.random.Generator, tensors: Arrays) -> dict:
    similarity = rng.standard_normal((40, 40)) + 1.5 * np.eye(40)
    relevant = rng.permutation(40)
    similarity = similarity[relevant]
    tensors["retrieval/similarity"] = similarity
    tensors["retrieval/relevant"] = relevant
    order = np.argsort(-similarity, axis=1)
    rank = np.argmax(order == relevant[:, None], axis=1)
    return {"recall": {str(k): float((rank < k).mean()) for k in (1, 5, 10)}}


def smoothing(rng: np.random.Generator, tensors: Arrays) -> list[dict]:
    cases = []
    sizes = [(330, 100, 3), (100, 100, 3), (151, 100, 3), (60, 11, 3), (60, 10, 2), (9, 9, 8)]
    for length, window, order in sizes:
        series = np.cumsum(rng.standard_normal(length)) + 3
        name = f"smoothing/{length}_{window}_{order}"
        tensors[f"{name}/series"] = series
        tensors[f"{name}/smoothed"] = savgol_filter(series, window_length=window, polyorder=order)
        cases.append({"name": name, "window": window, "order": order})
    return cases


def main() -> None:
    rng = np.random.default_rng(20230617)
    tensors: Arrays = {}
    config = {
        "logistic": logistic(rng, tensors),
        "ridge": ridge(rng, tensors),
        "multi_label": multi_label_metrics(rng, tensors),
        "single_label": single_label_metrics(rng, tensors),
        "regression": regression_metrics(rng, tensors),
        "retrieval": retrieval_metrics(rng, tensors),
        "smoothing": smoothing(rng, tensors),
    }
    path = GOLDENS / "probes.safetensors"
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(contiguous, path, metadata={"config": json.dumps(config)})
    size = path.stat().st_size
    assert size <= SIZE_LIMIT, size
    for case in config["logistic"]:
        print(f"{case['name']:36} gradient {max(case['gradient']):.1e}")
    print(f"{path.name}: {size} bytes")


if __name__ == "__main__":
    main()
