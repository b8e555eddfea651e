"""The protocols of the five benchmarks with scikit-learn and scipy, as the release's linear_eval has
them, but for its solver, which stops short of the optimum: `newton-cholesky` runs to it."""

import warnings

import numpy as np
from scipy.signal import savgol_filter
from sklearn import metrics
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

C = {"bold": 3.16, "moviegraphs": 10.0, "meld": 8.0, "emotic": 2.5}
VALUES = {"bold": ["valence", "arousal", "dominance"], "liris-accede": ["valence", "arousal"]}


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of norm 1 in float32, as the features come from the model."""
    x = x.astype(np.float64)
    norms = np.sqrt((x**2).sum(1, keepdims=True))
    return (x * (1 / np.maximum(norms, 1e-12))).astype(np.float32).astype(np.float64)


def regression(dataset: str) -> LogisticRegression:
    return LogisticRegression(C=C[dataset], solver="newton-cholesky", tol=1e-14, max_iter=1000)


def evaluate(dataset: str, parts: dict[str, dict[str, np.ndarray]]) -> tuple[dict, dict]:
    """Scores by `part/metric[/output]`, and what the test needs to know how sure they are:
    the least difference that decides a rank or a guess, and the norm of the weights.

    A part has `features` [N, E], `labels` [N, classes] of 0 and 1, `values` [N, outputs]."""
    with warnings.catch_warnings():
        # The tolerance is below what rounding allows: the solver runs until nothing improves.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.simplefilter("ignore", UserWarning)
        scores, facts = {}, {"weights": 0.0, "margin": np.inf}
        train = parts["train"]
        held_out = {name: part for name, part in parts.items() if name != "train"}
        if dataset in C:
            classes(dataset, train, held_out, scores, facts)
        if dataset in VALUES:
            values(dataset, train, held_out, scores, facts)
    return scores, facts


def classes(dataset: str, train: dict, held_out: dict, scores: dict, facts: dict) -> None:
    if dataset == "meld":
        model = regression(dataset).fit(unit(train["features"]), train["labels"].argmax(1))
        fitted = [model]
    else:
        model = OneVsRestClassifier(regression(dataset))
        model.fit(unit(train["features"]), train["labels"].astype(int))
        fitted = [one for one in model.estimators_ if hasattr(one, "coef_")]
    norms = [np.linalg.norm(one.coef_, axis=1).max() + np.abs(one.intercept_).max() for one in fitted]
    facts["weights"] = float(max(norms))
    for name, part in held_out.items():
        p, y = model.predict_proba(unit(part["features"])), part["labels"].astype(int)
        if dataset == "meld":
            # Classes without a training sample have no column.
            full = np.zeros((len(p), y.shape[1]))
            full[:, model.classes_] = p
            truth, guess = y.argmax(1), full.argmax(1)
            scores[f"{name}/accuracy"] = metrics.accuracy_score(truth, guess)
            scores[f"{name}/weighted_f1"] = metrics.f1_score(truth, guess, average="weighted")
            facts["margin"] = min(facts["margin"], guess_margin(full))
        elif dataset == "moviegraphs":
            scores[f"{name}/top1_hit_rate"] = y[np.arange(len(p)), p.argmax(1)].mean()
            facts["margin"] = min(facts["margin"], guess_margin(p))
        else:
            scores[f"{name}/macro_map"] = metrics.average_precision_score(y, p, average="macro")
            mixed = [k for k in range(y.shape[1]) if 0 < y[:, k].sum() < len(y)]
            area = [metrics.roc_auc_score(y[:, k], p[:, k]) for k in mixed]
            scores[f"{name}/macro_auc"] = np.mean(area)
            facts["margin"] = min(facts["margin"], rank_margin(y, p))


def values(dataset: str, train: dict, held_out: dict, scores: dict, facts: dict) -> None:
    model = Ridge(alpha=1.0).fit(unit(train["features"]), train["values"].astype(np.float32).astype(np.float64))
    norm = np.linalg.norm(model.coef_, axis=1).max() + np.abs(model.intercept_).max()
    facts["value_weights"] = float(norm)
    for name, part in held_out.items():
        truth, p = part["values"], model.predict(unit(part["features"]))
        if dataset == "bold":
            scores[f"{name}/r2"] = metrics.r2_score(truth, p, multioutput="uniform_average")
            each = metrics.r2_score(truth, p, multioutput="raw_values")
            scores |= {f"{name}/r2/{output}": r2 for output, r2 in zip(VALUES[dataset], each)}
            continue
        p = savgol_filter(p, window_length=100, polyorder=3, axis=0)
        mse = ((truth - p) ** 2).mean(0)
        pcc = [np.corrcoef(y, q)[0, 1] for y, q in zip(truth.T, p.T)]
        for metric, each in [("mse", mse), ("pearson", pcc)]:
            scores[f"{name}/{metric}"] = np.mean(each)
            scores |= {f"{name}/{metric}/{o}": one for o, one in zip(VALUES[dataset], each)}


def logits(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


def guess_margin(p: np.ndarray) -> float:
    """By how much the first guess leads, in logits; constant columns are never in doubt."""
    p = np.where((p == 0) | (p == 1), np.nan, p)
    top = np.sort(np.nan_to_num(logits(p), nan=-1e9), axis=1)
    return float((top[:, -1] - top[:, -2]).min())


def rank_margin(y: np.ndarray, p: np.ndarray) -> float:
    """The least distance of a positive's logit from a negative's of the same class."""
    least = np.inf
    for truth, column in zip(y.T, p.T):
        if 0 < truth.sum() < len(truth) and 0 < column.min() and column.max() < 1:
            score = logits(column)
            gaps = np.abs(score[truth == 1][:, None] - score[truth == 0][None])
            least = min(least, gaps.min())
    return float(least)
