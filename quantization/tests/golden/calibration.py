"""Writes calibration.json: percentiles by numpy, and clips of least relative entropy by a plain numpy loop."""
import json
import pathlib
import sys

import numpy as np


def smooth(counts, amount):
    """The `_smooth_distribution` of MXNet: counts moved onto empty bins."""
    empty = counts == 0
    filled = len(counts) - empty.sum()
    if filled == 0:
        return None
    part = amount * empty.sum() / filled
    moved = np.where(empty, amount, counts - part)
    return moved if (moved >= 0).all() else None


def divergence(counts, bins, levels, amount):
    window = counts[:bins].astype(np.float64)
    p = window.copy()
    p[-1] += counts[bins:].sum()
    q = np.zeros(bins)
    for level in range(levels):
        start, end = level * bins // levels, (level + 1) * bins // levels
        filled = p[start:end] > 0
        if filled.any():
            q[start:end][filled] = window[start:end].sum() / filled.sum()
    if amount is not None:
        p, q = smooth(p, amount), smooth(q, amount)
        if p is None or q is None:
            return np.inf
    p, q = p / p.sum(), q / q.sum()
    keep = p > 0
    with np.errstate(divide="ignore"):
        return float((p[keep] * np.log(p[keep] / q[keep])).sum())


def best(counts, levels, amount):
    found = [(divergence(counts, bins, levels, amount), bins) for bins in range(levels, len(counts) + 1)]
    least, bins = min(found)
    return {"bins": bins, "divergence": least}


rng = np.random.default_rng(1)
normal = np.abs(rng.standard_normal(4000)).astype(np.float32)
heavy = np.abs(rng.standard_t(3, 4000)).astype(np.float32)
relu = np.maximum(rng.standard_normal(4000), 0).astype(np.float32)
result = {"entropy": [], "percentile": []}
for name, values in [("normal", normal), ("heavy", heavy), ("relu", relu)]:
    counts, _ = np.histogram(values, bins=512, range=(0, values.max()))
    for levels in [16, 128]:
        for amount in [None, 1e-4]:
            result["entropy"].append(
                {"name": name, "counts": counts.tolist(), "levels": levels, "amount": amount, **best(counts, levels, amount)}
            )
    few = values[:101]
    shares = [0.0, 0.5, 0.9, 0.99, 0.999, 1.0]
    result["percentile"].append(
        {
            "values": few.astype(float).tolist(),
            "shares": shares,
            "found": [float(np.quantile(few.astype(np.float64), share)) for share in shares],
        }
    )
path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("calibration.json"))
path.write_text(json.dumps(result) + "\n")
