"""TF-IDF + logistic regression on GoEmotions (Ekman): what the text classifier has to beat.

    python tests/baselines/goemotions_tfidf.py DIR [--json]

DIR holds train.tsv, dev.tsv, test.tsv and labels.txt. The protocol is that of `trainer
text-classifier`: seven classes, several of which may hold; macro-F1 over the classes, a class
predicted where its probability reaches a threshold that is chosen for each class on dev, from
0.03 to 0.90 in steps of 0.01. The vectoriser's and the regression's settings are chosen on dev too;
the test split is scored once, with what was chosen. The texts with one label are scored by the most
probable emotion as well, and the mean average precision needs no thresholds.

Needs scikit-learn. A class's regression is fitted on its own (one against the rest).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.multiclass import OneVsRestClassifier

THRESHOLDS = np.arange(3, 91) / 100
WORDS = {"[NAME]": "someone", "[RELIGION]": "religion"}


def read(folder, split, classes):
    """Texts, masked names replaced by words, and truth `[N, classes]`."""
    texts, rows = [], []
    for line in (folder / f"{split}.tsv").read_text(encoding="utf-8").split("\n"):
        if not line.strip():
            continue
        text, labels, _ = line.rstrip("\r").split("\t")
        # Fields with quotation marks are quoted as in CSV.
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('""', '"')
        for mask, word in WORDS.items():
            text = text.replace(mask, word)
        row = np.zeros(classes, bool)
        row[[int(label) for label in labels.split(",")]] = True
        texts.append(text)
        rows.append(row)
    return texts, np.array(rows)


def f1(truth, predicted):
    """F1 of each class; zero over zero is zero."""
    right = (truth & predicted).sum(0)
    return 2 * right / np.maximum(truth.sum(0) + predicted.sum(0), 1)


def choose_thresholds(truth, probabilities):
    scores = [f1(truth, probabilities >= threshold) for threshold in THRESHOLDS]
    return THRESHOLDS[np.argmax(scores, axis=0)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names = (arguments.folder / "labels.txt").read_text(encoding="utf-8").split()
    parts = {
        split: read(arguments.folder, split, len(names))
        for split in ["train", "dev", "test"]
    }
    started = time.monotonic()
    candidates = []
    for ngrams in [(1, 1), (1, 2)]:
        vectoriser = TfidfVectorizer(
            ngram_range=ngrams, min_df=2, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"
        )
        train = vectoriser.fit_transform(parts["train"][0])
        dev = vectoriser.transform(parts["dev"][0])
        for balanced in [None, "balanced"]:
            for strength in [1.0, 4.0]:
                regression = LogisticRegression(
                    C=strength, class_weight=balanced, solver="liblinear", random_state=0
                )
                model = OneVsRestClassifier(regression).fit(train, parts["train"][1])
                probabilities = model.predict_proba(dev)
                thresholds = choose_thresholds(parts["dev"][1], probabilities)
                score = f1(parts["dev"][1], probabilities >= thresholds).mean()
                settings = {"ngrams": ngrams, "class_weight": balanced, "C": strength}
                candidates.append((score, settings, vectoriser, model, thresholds))
                if not arguments.json:
                    print(f"dev {score:.4f}  {settings}", flush=True)
    score, settings, vectoriser, model, thresholds = max(candidates, key=lambda one: one[0])
    probabilities = model.predict_proba(vectoriser.transform(parts["test"][0]))
    test = f1(parts["test"][1], probabilities >= thresholds)
    truth = parts["test"][1]
    single = truth.sum(1) == 1
    confusions = truth[single].argmax(1), probabilities[single].argmax(1)
    result = {
        "settings": settings,
        "features": len(vectoriser.vocabulary_),
        "dev_macro_f1": round(float(score), 4),
        "test_macro_f1": round(float(test.mean()), 4),
        "test_f1": {name: round(float(value), 4) for name, value in zip(names, test)},
        "test_macro_average_precision": round(
            float(average_precision_score(truth, probabilities, average="macro")), 4
        ),
        "test_single_label_accuracy": round(float((confusions[0] == confusions[1]).mean()), 4),
        "test_single_label_macro_f1": round(
            float(f1_score(*confusions, average="macro")), 4
        ),
        "thresholds": [round(float(threshold), 2) for threshold in thresholds],
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
