"""Golden values of the residual codec, in numpy, after ColBERT's `codecs/residual.py` and `collection_indexer.py`.

Prints JSON: `python residual.py > residual.json`.
"""

import json
import sys

import numpy as np

DIM, CENTROIDS, VECTORS, HELD_OUT = 32, 6, 12, 40


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def case(bits, rng):
    centroids = unit(rng.normal(size=(CENTROIDS, DIM))).astype(np.float32)
    owner = rng.integers(CENTROIDS, size=HELD_OUT + VECTORS)
    points = unit(centroids[owner] + 0.1 * rng.normal(size=(HELD_OUT + VECTORS, DIM))).astype(np.float32)
    held_out, vectors = points[:HELD_OUT], points[HELD_OUT:]

    def nearest(x):
        return np.argmax(x.astype(np.float64) @ centroids.T.astype(np.float64), axis=1)

    sample = (held_out - centroids[nearest(held_out)]).reshape(-1).astype(np.float64)
    shares = np.arange(2**bits) / 2**bits
    cutoffs = np.quantile(sample, shares[1:]).astype(np.float32)
    weights = np.quantile(sample, shares + 0.5 / 2**bits).astype(np.float32)
    ids = nearest(vectors)
    codes = np.searchsorted(cutoffs, vectors - centroids[ids], side="left")
    bit_planes = (codes[..., None] >> np.arange(bits)) & 1  # least significant first
    packed = np.packbits(bit_planes.reshape(VECTORS, -1).astype(np.uint8), axis=1)  # most significant first
    decoded = unit((centroids[ids] + weights[codes]).astype(np.float64))
    return {
        "bits": bits,
        "dim": DIM,
        "sample": sample.astype(np.float32).tolist(),
        "centroids": centroids.reshape(-1).tolist(),
        "cutoffs": cutoffs.tolist(),
        "weights": weights.tolist(),
        "vectors": vectors.reshape(-1).tolist(),
        "ids": ids.tolist(),
        "packed": packed.reshape(-1).tolist(),
        "decoded": decoded.reshape(-1).astype(np.float32).tolist(),
    }


rng = np.random.default_rng(20240811)
json.dump({"numpy": np.__version__, "cases": [case(bits, rng) for bits in (1, 2, 4)]}, sys.stdout)
