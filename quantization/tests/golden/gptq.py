"""Writes gptq.json: codes of small layers by a plain 32-bit form of the published GPTQ algorithm. Needs torch alone.

Written from the algorithm and from the behaviour of the published `gptq.py` and `quant.py` (IST-DASLab/gptq) and of
`gar.py` (ModelCloud/GPTQModel): Hessian as a running mean, Cholesky - inverse - Cholesky in 32 bits, grids refitted
from the weights as the finished blocks left them.
"""
import json
import pathlib
import sys

import torch


def quantize(x, scale, zero, maxq):
    q = torch.clamp(torch.round(x / scale) + zero, 0, maxq)
    return scale * (q - zero), q


def find(x, bits, sym, mse):
    """Scale and zero-point of each row."""
    maxq = torch.tensor(2**bits - 1)
    low = torch.minimum(x.min(1)[0], torch.zeros(1))
    high = torch.maximum(x.max(1)[0], torch.zeros(1))
    if sym:  # as described; the published code leaves `low` at 0 where a row has no negative weight
        high = torch.maximum(low.abs(), high)
        low = -high
    empty = (low == 0) & (high == 0)
    low[empty], high[empty] = -1, 1

    def parameters(low, high):
        scale = (high - low) / maxq
        return scale, (torch.full_like(scale, (2**bits) / 2) if sym else torch.round(-low / scale))

    scale, zero = parameters(low, high)
    if mse:
        best = torch.full([x.shape[0]], float("inf"))
        for i in range(80):
            p = 1 - i / 100
            scale1, zero1 = parameters(p * low, p * high)
            error = (quantize(x, scale1[:, None], zero1[:, None], maxq)[0] - x).abs().pow(2.4).sum(1)
            better = error < best
            best[better], scale[better], zero[better] = error[better], scale1[better], zero1[better]
    return scale, zero


def gptq(W, batches, bits, sym=False, group=None, order="natural", static=False, mse=False, damp=0.01, block=128):
    W, columns = W.clone(), W.shape[1]
    H, n = torch.zeros(columns, columns), 0
    for x in batches:
        H *= n / (n + x.shape[0])
        n += x.shape[0]
        x = (2 / n) ** 0.5 * x.t()
        H += x @ x.t()
    maxq = torch.tensor(2**bits - 1)
    size = group or columns
    whole = find(W, bits, sym, mse)
    dead = torch.diag(H) == 0
    H[dead, dead] = 1
    W[:, dead] = 0
    fixed = [find(W[:, i : i + size], bits, sym, mse) for i in range(0, columns, size)] if static and group else None
    diagonal = torch.diag(H)
    perm = torch.arange(columns)
    if order == "activation":
        perm = torch.argsort(diagonal, descending=True, stable=True)
    elif order == "group_aware":
        parts = [i + torch.argsort(diagonal[i : i + size], descending=True, stable=True) for i in range(0, columns, size)]
        largest = torch.stack([diagonal[part[0]] for part in parts])
        perm = torch.cat([parts[i] for i in torch.argsort(largest, descending=True, stable=True)])
    W, H = W[:, perm], H[perm][:, perm]
    H += damp * torch.diag(H).mean() * torch.eye(columns)
    U = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(H)), upper=True)
    codes, restored = torch.zeros_like(W), torch.zeros_like(W)
    scales, zeros, g_idx, loss = {}, {}, torch.zeros(columns, dtype=torch.long), 0.0
    for i in range(0, columns, block):
        end = min(i + block, columns)
        work, errors = W[:, i:end].clone(), torch.zeros(W.shape[0], end - i)
        for j in range(end - i):
            place = i + j
            scattered = order == "activation" and not static
            g = (place if scattered else perm[place].item()) // size
            if group is None:
                scale, zero = whole
            elif static:
                scale, zero = fixed[g]
            elif g not in scales:
                scale, zero = find(W[:, place : min(place + size, columns)], bits, sym, mse)
            scales[g], zeros[g], g_idx[perm[place]] = scale, zero, g
            w, d = work[:, j], U[place, place]
            q, code = quantize(w, scale, zero, maxq)
            codes[:, place], restored[:, place] = code, q
            loss += ((w - q) ** 2 / d**2 / 2).sum(dtype=torch.float64).item()
            e = (w - q) / d
            work[:, j:] -= e[:, None] * U[place, place:end][None]
            errors[:, j] = e
        W[:, end:] -= errors @ U[i:end, end:]
    back = torch.argsort(perm)
    groups = sorted(scales)
    return {
        "codes": codes[:, back].long().tolist(),
        "scales": torch.stack([scales[g] for g in groups], 1).tolist(),
        "zeros": torch.stack([zeros[g] for g in groups], 1).long().tolist(),
        "g_idx": g_idx.tolist(),
        "loss": loss,
    }


CASES = {
    "8 bits": dict(bits=8),
    "4 bits": dict(bits=4),
    "3 bits": dict(bits=3),
    "2 bits": dict(bits=2),
    "4 bits, symmetric": dict(bits=4, sym=True),
    "4 bits, searched range": dict(bits=4, mse=True),
    "2 bits, symmetric, searched range": dict(bits=2, sym=True, mse=True),
    "4 bits, groups": dict(bits=4, group=8),
    "4 bits, groups across blocks": dict(bits=4, group=16, block=24),
    "3 bits, groups that do not divide": dict(bits=3, group=20, block=16),
    "4 bits, act-order": dict(bits=4, order="activation"),
    "4 bits, groups, act-order": dict(bits=4, group=16, order="activation"),
    "4 bits, groups, act-order, static": dict(bits=4, group=16, order="activation", static=True),
    "4 bits, groups, static, small blocks": dict(bits=4, group=16, static=True, block=16),
    "4 bits, groups, group-aware order": dict(bits=4, group=16, order="group_aware"),
    "3 bits, symmetric, groups, group-aware order, searched range": dict(
        bits=3, sym=True, group=16, order="group_aware", mse=True, block=16
    ),
    "4 bits, more damping": dict(bits=4, damp=0.1),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(1)
    weights = torch.randn(12, 48) * 0.1
    weights[3] = 0
    mixing = torch.randn(48, 48) / 7 + torch.diag(torch.rand(48) * 2)
    inputs = (torch.randn(90, 48) @ mixing).half().float()
    inputs[:, 17] = 0  # a dead column
    weights = weights.half().float()  # short numbers
    batches = [inputs[:40], inputs[40:]]
    result = {"weights": weights.tolist(), "inputs": inputs.tolist(), "split": 40, "cases": []}
    for name, options in CASES.items():
        result["cases"].append({"name": name, "options": options, **gptq(weights, batches, **options)})
    path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("gptq.json"))
    path.write_text(json.dumps(result) + "\n")
