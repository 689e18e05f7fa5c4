"""The layer in WORK through GPTQ in plain PyTorch, step by step as the published code does it: Hessian or solution."""
import json
import os
import sys
import time

import torch

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
mode, rows, columns, bits, group, fit, work = sys.argv[1:]
rows, columns, bits, group = int(rows), int(columns), int(bits), int(group)


def load(name, width):
    with open(f"{work}/{name}", "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.float32).view(-1, width).clone()


def quantize(x, scale, zero, maxq):
    q = torch.clamp(torch.round(x / scale) + zero, 0, maxq)
    return scale * (q - zero)


def find(x, maxq):
    """Scale and zero-point of each row, asymmetric."""
    none = torch.zeros(x.shape[0])
    low, high = torch.minimum(x.min(1)[0], none), torch.maximum(x.max(1)[0], none)
    empty = (low == 0) & (high == 0)
    low[empty], high[empty] = -1, 1
    scale = (high - low) / maxq
    zero = torch.round(-low / scale)
    if fit == "mse":
        best = torch.full([x.shape[0]], float("inf"))
        for i in range(80):
            p = 1 - i / 100
            scale1 = (p * high - p * low) / maxq
            zero1 = torch.round(-p * low / scale1)
            q = quantize(x, scale1.unsqueeze(1), zero1.unsqueeze(1), maxq)
            q -= x
            q.abs_()
            q.pow_(2.4)
            error = torch.sum(q, 1)
            better = error < best
            if torch.any(better):
                best[better], scale[better], zero[better] = error[better], scale1[better], zero1[better]
    return scale.unsqueeze(1), zero.unsqueeze(1)


def hessian(inputs, batch=2048):
    H, n = torch.zeros(columns, columns), 0
    for start in range(0, len(inputs), batch):
        x = inputs[start : start + batch].t()
        H *= n / (n + x.shape[1])
        n += x.shape[1]
        x = (2 / n) ** 0.5 * x.float()
        H += x.matmul(x.t())
    return H


def solve(W, H, damp=0.01, block=128):
    maxq = torch.tensor(2**bits - 1)
    scale, zero = find(W, maxq)
    dead = torch.diag(H) == 0
    H[dead, dead] = 1
    W[:, dead] = 0
    perm = torch.argsort(torch.diag(H), descending=True, stable=True)
    W, H = W[:, perm], H[perm][:, perm]
    losses, Q = torch.zeros_like(W), torch.zeros_like(W)
    diagonal = torch.arange(columns)
    H[diagonal, diagonal] += damp * torch.mean(torch.diag(H))
    H = torch.linalg.cholesky(H)
    H = torch.cholesky_inverse(H)
    U = torch.linalg.cholesky(H, upper=True)
    for start in range(0, columns, block):
        end = min(start + block, columns)
        W1 = W[:, start:end].clone()
        Q1, E1, L1 = torch.zeros_like(W1), torch.zeros_like(W1), torch.zeros_like(W1)
        U1 = U[start:end, start:end]
        for i in range(end - start):
            w, d = W1[:, i], U1[i, i]
            if group and (start + i) % group == 0:
                scale, zero = find(W[:, start + i : start + i + group], maxq)
            q = quantize(w.unsqueeze(1), scale, zero, maxq).flatten()
            Q1[:, i] = q
            L1[:, i] = (w - q) ** 2 / d**2
            e = (w - q) / d
            W1[:, i:] -= e.unsqueeze(1).matmul(U1[i, i:].unsqueeze(0))
            E1[:, i] = e
        Q[:, start:end] = Q1
        losses[:, start:end] = L1 / 2
        W[:, end:] -= E1.matmul(U[start:end, end:])
    Q = Q[:, torch.argsort(perm)]
    return Q, losses


with torch.inference_mode():
    weights, inputs = load("gptq-weights.f32", columns), load("gptq-inputs.f32", columns)
    start = time.process_time()
    H = hessian(inputs)
    seconds, items, values = time.process_time() - start, len(inputs), [torch.diag(H).sum(dtype=torch.float64).item()]
    if mode == "solve":
        start = time.process_time()
        _, losses = solve(weights, H)
        seconds, items = time.process_time() - start, weights.numel()
        values = [losses.sum(dtype=torch.float64).item()]
print(json.dumps({"seconds": seconds, "items": items, "values": values}))
