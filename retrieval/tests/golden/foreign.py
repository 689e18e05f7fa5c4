"""Small indexes by FastPlaid and NextPlaid, and the vectors that each reconstructs from its own; the second also as
PyTorch files in the layout of ColBERT's `codecs/residual.py` and `index_saver.py`.

`python foreign.py PEER_NEXT_PLAID WORK`: PEER_NEXT_PLAID is the program that `../../compare/next_plaid` builds. Writes the
folders `fast-plaid`, `next-plaid` and `colbert` with the files that a search needs, and `expected.json` in each.
"""
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import torch
from fast_plaid import search

WIDTH, BITS = 16, 2
KEPT = ["metadata.json", "centroids.npy", "bucket_cutoffs.npy", "bucket_weights.npy", "doclens.0.json"]


def documents():
    rng = np.random.default_rng(20250101)
    centres = rng.normal(size=(8, WIDTH))
    lengths = [1, 7, 4, 9, 2, 12, 5]
    for length in lengths:
        rows = centres[rng.integers(8, size=length)] + 0.5 * rng.normal(size=(length, WIDTH))
        yield (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def keep(folder, name, arrays):
    shutil.rmtree(name, ignore_errors=True)
    os.mkdir(name)
    for file in KEPT + arrays:
        shutil.copy(os.path.join(folder, file), name)


def main():
    peer, work = sys.argv[1:]
    vectors = list(documents())
    fast = os.path.join(work, "fixture-fast")
    shutil.rmtree(fast, ignore_errors=True)
    index = search.FastPlaid(index=fast, device="cpu")
    index.create(documents_embeddings=[torch.from_numpy(rows) for rows in vectors], nbits=BITS, seed=42)
    restored = [rows.float().numpy().tolist() for rows in index.get_embeddings(list(range(len(vectors))))]
    keep(fast, "fast-plaid", ["merged_codes.npy", "merged_residuals.npy"])
    with open(os.path.join(work, "fixture.json"), "w") as file:
        json.dump([rows.tolist() for rows in vectors], file)
    following = os.path.join(work, "fixture-next")
    shutil.rmtree(following, ignore_errors=True)
    answer = subprocess.run([peer, "fixture", work, following, str(BITS)], check=True, capture_output=True)
    keep(following, "next-plaid", ["0.codes.npy", "0.residuals.npy"])
    for name, restored in [("fast-plaid", restored), ("next-plaid", json.loads(answer.stdout))]:
        rounded = [[[round(x, 4) for x in row] for row in rows] for rows in restored]
        with open(os.path.join(name, "expected.json"), "w") as file:
            json.dump(rounded, file, separators=(",", ":"))
    colbert("next-plaid", "colbert")


def colbert(source, name):
    """Writes the arrays of `source` as ColBERT's indexer does: half-precision centroids, both bucket arrays in one file."""
    shutil.rmtree(name, ignore_errors=True)
    os.mkdir(name)

    def array(file):
        return torch.from_numpy(np.load(os.path.join(source, f"{file}.npy")))

    torch.save(array("centroids").half(), os.path.join(name, "centroids.pt"))
    torch.save((array("bucket_cutoffs"), array("bucket_weights")), os.path.join(name, "buckets.pt"))
    torch.save(array("0.codes").int(), os.path.join(name, "0.codes.pt"))
    torch.save(array("0.residuals"), os.path.join(name, "0.residuals.pt"))
    for file in ["doclens.0.json", "expected.json"]:
        shutil.copy(os.path.join(source, file), name)
    with open(os.path.join(name, "metadata.json"), "w") as file:
        json.dump({"config": {"nbits": BITS, "dim": WIDTH}, "num_chunks": 1, "num_partitions": 40}, file)


if __name__ == "__main__":
    main()
