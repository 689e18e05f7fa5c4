"""Golden masks: runs the generators of the official code on small images and records what was drawn.

python masks.py PATH/TO/FakeImageDetection/mask.py > masks.json
"""

import ast
import json
import random
import sys

import numpy as np
from PIL import Image, ImageDraw

tree = ast.parse(open(sys.argv[1]).read())
wanted = {"FrequencyMaskGenerator", "PatchMaskGenerator", "PixelMaskGenerator"}
classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in wanted]
scope = {"np": np, "Image": Image, "ImageDraw": ImageDraw, "random": random}
exec(compile(ast.Module(classes, []), sys.argv[1], "exec"), scope)

drawn = []
permutation, sample = np.random.permutation, random.sample


def recorded_permutation(n):
    result = permutation(n)
    drawn.append(result)
    return result


def recorded_sample(population, k):
    result = sample(population, k)
    drawn.append(np.array(result))
    return result


np.random.permutation, random.sample = recorded_permutation, recorded_sample
np.random.seed(44)
random.seed(44)


def picture(height, width):
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 100 * np.sin(0.7 * x + 0.3 * y), 40 + 5 * x + 3 * y, np.random.randint(0, 256, (height, width))]
    return Image.fromarray(np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8))


cases = []
for height, width in [(16, 24), (13, 10), (5, 7)]:
    for band, ratio in [("low", 0.15), ("mid", 0.15), ("high", 0.15), ("all", 0.15), ("all", 0.5), ("low+high", 0.3)]:
        image = picture(height, width)
        drawn.clear()
        generator = scope["FrequencyMaskGenerator"](ratio=ratio, band=band)
        out = generator.transform(image)
        mask = generator.masked_freq_image
        counts = [len(indices) for indices in drawn]
        drawn.clear()
        # The bins set to zero, read off a mask drawn again from the same state would differ; the spectrum tells them.
        spectrum = np.fft.fftn(np.array(image).astype(np.complex64), axes=(0, 1))
        removed = np.argwhere((np.abs(mask).sum(-1) == 0) & (np.abs(spectrum).sum(-1) > 0)).tolist()
        cases.append({"kind": band, "ratio": ratio, "height": height, "width": width, "removed": removed, "counts": counts,
                      "image": np.array(image).ravel().tolist(), "out": np.array(out).ravel().tolist()})
spatial = []
for height, width, kind, name in [(16, 24, "pixel", "PixelMaskGenerator"), (13, 10, "pixel", "PixelMaskGenerator"),
                                  (32, 48, "patch", "PatchMaskGenerator"), (24, 36, "patch", "PatchMaskGenerator")]:
    image = Image.new("RGB", (width, height), (200, 100, 50))
    drawn.clear()
    out = np.array(scope[name](ratio=0.15).transform(image))
    chosen = drawn[0][: int(np.ceil(height * width * 0.15))] if kind == "pixel" else drawn[0]
    spatial.append({"kind": kind, "height": height, "width": width, "chosen": np.array(chosen).tolist(),
                    "black": np.argwhere(out.sum(-1) == 0).tolist()})
json.dump({"numpy": np.__version__, "frequency": cases, "spatial": spatial}, sys.stdout)
