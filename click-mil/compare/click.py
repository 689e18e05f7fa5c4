"""The peers of `peer_click`: OpenCV, pycocotools, NumPy, liblinear, torchvision.

usage: click.py edge-boxes THREADS | evaluation | scoring MACHINES | svm | detect, then WORK
"""
import contextlib
import json
import os
import pathlib
import resource
import sys
import time

import numpy as np

mode, *numbers, work = sys.argv[1:]
work = pathlib.Path(work) / "click"
data = pathlib.Path(os.environ.get("BENKYOKAI_DATA", "data"))


def answer(seconds, items, values, peak_bytes=None):
    print(json.dumps({"seconds": seconds, "items": items, "values": values, "peak_bytes": peak_bytes}))


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def edge_maps():
    for path in sorted((work / "edges").glob("*.bin")):
        raw = path.read_bytes()
        width, height = np.frombuffer(raw, "<u4", 2)
        both = np.frombuffer(raw, "<f4", offset=8).reshape(2, height, width)
        yield both[0], both[1]


def edge_boxes():
    import cv2

    cv2.setNumThreads(1)
    clock = time.process_time if numbers[0] == "1" else time.perf_counter
    maps = list(edge_maps())

    def propose(both):
        # A finder that has seen another image before gives other boxes.
        return cv2.ximgproc.createEdgeBoxes().getBoundingBoxes(*both)

    propose(maps[0])
    start = clock()
    found = [propose(both) for both in maps]
    seconds = clock() - start
    values = []
    for boxes, scores in found:
        boxes, scores = np.asarray(boxes, float), np.ravel(scores).astype(float)
        # OpenCV shifts its boxes by one pixel.
        boxes[:, :2] -= 1
        place = np.arange(len(boxes)) + 1.0
        values += [float(len(boxes)), *(boxes * place[:, None]).sum(0).tolist(), float((scores * place).sum())]
    answer(seconds, len(maps), values)


def evaluation():
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(sys.stderr):
        truth = COCO(str(work / "truth.json"))
        found = truth.loadRes(str(work / "found.json"))
        start = time.process_time()
        scores = COCOeval(truth, found, "bbox")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
        seconds = time.process_time() - start
    answer(seconds, len(found.anns), scores.stats.tolist())


def scoring():
    machines = int(numbers[0])
    before = resident()
    raw = open(work / "scoring.bin", "rb")
    _, _, width, images = np.frombuffer(raw.read(32), "<u8")
    counts = np.frombuffer(raw.read(8 * int(images)), "<u8").astype(int)
    width = int(width)
    features = [np.frombuffer(raw.read(2 * width * n), "<f2").astype(np.float32).reshape(n, width) for n in counts]
    rest = np.fromfile(work / "scoring-rest.bin", "<f4")
    weights, rest = rest[: machines * width].reshape(machines, width).T.copy(), rest[10 * width :]
    boxes, rest = rest[: 4 * sum(counts)].reshape(-1, 4), rest[4 * sum(counts) :]
    objectness, clicks = rest[: sum(counts)], rest[sum(counts) :].reshape(-1, 2)
    starts = np.concatenate([[0], np.cumsum(counts)])
    boxes = [boxes[a:b] for a, b in zip(starts, starts[1:])]
    objectness = [objectness[a:b] for a, b in zip(starts, starts[1:])]
    if machines == 1:
        weights = weights[:, 0]

    def best():
        chosen = []
        for x, bbox, o, click in zip(features, boxes, objectness, clicks):
            appearance = 1 / (1 + np.exp(-(x @ weights)))
            centre = (bbox[:, :2] + bbox[:, 2:]) / 2
            near = np.exp(-((centre - click) ** 2).sum(1) / (2 * 25.0**2))
            objects = 0.5 * o / o.max()
            if machines == 1:
                scores = (0.5 * appearance + objects) * near
            else:
                scores = (0.5 * appearance + objects[:, None]) * near[:, None]
            at = scores.argmax(0)
            chosen.append(scores[at] if machines == 1 else scores[at, np.arange(machines)])
        return chosen

    best()
    peak = resident() - before
    start = time.process_time()
    chosen = best()
    seconds = time.process_time() - start
    answer(seconds, int(sum(counts)) * machines, np.ravel(chosen).astype(float).tolist(), peak)


def svm():
    from sklearn.svm import LinearSVC

    width, positive = 2048, 100
    x = np.fromfile(work / "svm.bin", "<f4").reshape(-1, width).astype(np.float64)
    y = np.where(np.arange(len(x)) < positive, 1, -1)
    runs = 3
    # liblinear's own tolerance; 0.1 is its default for this loss in the dual.
    machine = LinearSVC(loss="squared_hinge", C=1.0, dual=True, tol=0.1, max_iter=1000, random_state=1)
    machine.fit(x, y)
    start = time.process_time()
    for _ in range(runs):
        machine.fit(x, y)
    seconds = time.process_time() - start
    w, b = machine.coef_[0], machine.intercept_[0]
    short = np.maximum(0, 1 - y * (x @ w + b))
    answer(seconds, runs, [0.5 * (w @ w + b * b) + (short**2).sum()])


def detect():
    import cv2
    import torch
    import torchvision
    from PIL import Image
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = work / "detector"
    settings = json.loads((folder / "detector.json").read_text())
    of_head = json.loads((folder / "head.json").read_text())
    trunk = torchvision.models.squeezenet1_1().features.eval()
    trunk.load_state_dict({name.removeprefix("features."): value for name, value in load_file(folder / "network.safetensors").items()})
    head = load_file(folder / "head.safetensors")
    scale = torch.tensor(of_head["scale"])
    mean = torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    options = settings["edge_boxes"]

    def finder():
        # A finder that has seen another image before gives other boxes.
        fresh = cv2.ximgproc.createEdgeBoxes()
        for name, key in {"Alpha": "alpha", "Beta": "beta", "Eta": "eta", "MinScore": "min_score", "MinBoxArea": "min_box_area"}.items():
            getattr(fresh, "set" + name)(options[key])
        return fresh

    def edges(image):
        smooth = cv2.GaussianBlur(image.astype(np.float32) / 255, (13, 13), 1.5)
        dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
        size = dx * dx + dy * dy
        best = size.argmax(2)[..., None]
        dx, dy = (np.take_along_axis(a, best, 2)[..., 0] for a in (dx, dy))
        strength, angle = cv2.cartToPolar(dx, dy)
        strength /= strength.max()
        angle = np.where(angle >= np.pi, angle - np.float32(np.pi), angle)
        y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
        cos, sin = np.cos(angle), np.sin(angle)
        keep = np.ones(strength.shape, bool)
        for step in (-2, -1, 1, 2):
            near = cv2.remap(strength, x + step * cos, y + step * sin, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            keep &= near <= strength
        return strength * keep, angle

    def forward(image, boxes):
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        sides = [round(side * settings["features"]["enlarge"]) for side in image.shape[:2]]
        pixels = torch.nn.functional.interpolate(pixels, sides, mode="bilinear", align_corners=False)
        rois = torch.cat([torch.zeros(len(boxes), 1), boxes], 1)
        pooled = torchvision.ops.roi_align(trunk(pixels.flip(1) - mean), rois, 2, settings["features"]["enlarge"] / 16, 2, True)
        # Cells first, then channels: the order of the head's weights.
        rows = torch.nn.functional.normalize(pooled.flatten(2).transpose(1, 2).flatten(1))
        hidden = rows * rows.shape[1] ** 0.5
        for layer in (0, 1):
            hidden = torch.relu(torch.nn.functional.linear(hidden, head[f"hidden.{layer}.weight"], head[f"hidden.{layer}.bias"]))
        logits = torch.nn.functional.linear(hidden, head["classify.weight"], head["classify.bias"])
        shift = torch.nn.functional.linear(hidden, head["correct.weight"], head["correct.bias"])
        return logits.softmax(1), shift * scale[:, 1] + scale[:, 0]

    def find(path):
        image = np.asarray(Image.open(path).convert("RGB"))
        boxes, _ = finder().getBoundingBoxes(*edges(image))
        boxes = torch.from_numpy(boxes[: settings["proposals"]].astype(np.float32))
        boxes[:, :2] -= 1
        boxes[:, 2:] += boxes[:, :2]
        return among(image, boxes)

    def among(image, boxes):
        shares, shift = forward(image, boxes)
        size, centre = boxes[:, 2:] - boxes[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2
        centre = centre + shift[:, :2] * size
        half = size * shift[:, 2:].clamp(max=np.log(1000 / 16)).exp() / 2
        boxes = torchvision.ops.clip_boxes_to_image(torch.cat([centre - half, centre + half], 1), image.shape[:2])
        found = []
        for kind in range(1, shares.shape[1]):
            likely = shares[:, kind] > 1e-3
            own, scores = boxes[likely], shares[likely, kind]
            kept = torchvision.ops.nms(own, scores, 0.3)
            found += [(kind, scores[at].item(), own[at].tolist()) for at in kept]
        return sorted(found, key=lambda one: -one[1])[:100]

    paths = [line for line in (work / "photographs.txt").read_text().split("\n") if line]
    with torch.inference_mode():
        find(paths[0])
        start = time.process_time()
        for path in paths:
            find(path)
        seconds = time.process_time() - start
        boxes = torch.from_numpy(np.fromfile(work / "boxes.bin", "<f4").reshape(-1, 4))
        found = among(np.asarray(Image.open(work / "drawn.png").convert("RGB")), boxes)
    answer(seconds, len(paths), [value for _, score, bbox in found[:10] for value in (score, *bbox)])


{"edge-boxes": edge_boxes, "evaluation": evaluation, "scoring": scoring, "svm": svm, "detect": detect}[mode]()
