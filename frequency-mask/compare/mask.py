"""Masks of WORK/mask.rgb: the official pipeline in NumPy, or the same with torch's rfft2.

python mask.py official|torch BAND one|two WORK
"""

import json
import sys
import time

import numpy as np
import torch

side, images, ratio, stride = 224, 400, 0.15, 7
variant, band, _, work = sys.argv[1:]
torch.set_num_threads(1)
image = np.fromfile(f"{work}/mask.rgb", dtype=np.uint8).reshape(side, side, 3)
start, end = {"low": (0, 1), "mid": (1, 3), "high": (3, 4), "all": (0, 4)}[band]
start, end = start * side // 4, end * side // 4


def draw():
    across = end - start
    n = int(np.ceil(across * across * ratio))
    if variant == "official":
        chosen = np.random.permutation(across * across)[:n]
    else:
        chosen = torch.randperm(across * across)[:n]
    return chosen // across + start, chosen % across + start


def official(image, bins):
    """FrequencyMaskGenerator of the official code: mask.py, commit 55b7142."""
    spectrum = np.fft.fftn(image.astype(np.complex64), axes=(0, 1))
    mask = np.ones((side, side, 3), dtype=np.complex64)
    mask[bins[0], bins[1], :] = 0
    return np.fft.ifftn(spectrum * mask, axes=(0, 1)).real.astype(np.uint8)


def with_torch(image, bins):
    """The equal symmetric mask on half of the spectrum, planes apart."""
    planes = torch.from_numpy(image).permute(2, 0, 1).to(torch.float32)
    mask = torch.ones(side, side)
    mask[bins[0], bins[1]] = 0
    mirrored = torch.roll(mask.flip(0, 1), (1, 1), (0, 1))
    half = (0.5 * (mask + mirrored))[:, : side // 2 + 1]
    out = torch.fft.irfft2(torch.fft.rfft2(planes) * half, s=(side, side))
    # Truncated and wrapped as NumPy's cast does.
    return out.to(torch.int32).to(torch.uint8).permute(1, 2, 0).contiguous()


apply = official if variant == "official" else with_torch
for _ in range(20):
    apply(image, draw())
started = time.perf_counter()
for _ in range(images):
    apply(image, draw())
seconds = time.perf_counter() - started
grid = [(row, column) for row in range(start, end) for column in range(start, end) if row % stride == 3 and column % stride == 2]
bins = (np.array([row for row, _ in grid]), np.array([column for _, column in grid]))
out = np.asarray(apply(image, bins), dtype=np.float64)
print(json.dumps({"seconds": seconds, "items": images, "values": out.mean((0, 1)).tolist()}))
