"""A tiny structured forest in the format of OpenCV's model file, and the edges that OpenCV finds with it.

opencv-contrib-python-headless 5.0.0.93, numpy 2.4: python structured.py writes structured_model.yml and structured.json
The forest is random: it finds edges of a kind, which is enough to compare programs.
"""
import json

import cv2
import numpy as np

rng = np.random.default_rng(3)
TREES, DEPTH, INNER = 4, 3, 8
NODES = 2 ** (DEPTH + 1) - 1
options = {
    "stride": 2, "shrinkNumber": 2, "patchSize": 16, "patchInnerSize": INNER, "numberOfGradientOrientations": 4,
    "gradientSmoothingRadius": 0, "regFeatureSmoothingRadius": 2, "ssFeatureSmoothingRadius": 8,
    "gradientNormalizationRadius": 4, "selfsimilarityGridSize": 5, "numberOfTrees": TREES, "numberOfTreesToEvaluate": 2,
}
# Colours and gradients of 8 x 8 cells; differences of the 13 channels' grids of 5 x 5 come behind them.
features = 13 * 8 * 8 + 13 * (25 * 24 // 2)
childs, ids, thresholds, bins, bounds = [], [], [], [], [0]
for _ in range(TREES):
    inner = 2**DEPTH - 1
    # Left child of each node, counted from 1; 0 is a leaf. The right one is the next.
    childs.append([2 * node + 2 if node < inner else 0 for node in range(NODES)])
    ids.append([int(rng.integers(0, features)) if node < inner else 0 for node in range(NODES)])
    thresholds.append([float(np.float32(rng.uniform(-0.02, 0.1))) if node < inner else 0.0 for node in range(NODES)])
    for node in range(NODES):
        line = [] if node < inner else sorted({int(v) for v in rng.integers(0, INNER * INNER, 9)})
        bins += line
        bounds.append(len(bins))

storage = cv2.FileStorage("structured_model.yml", cv2.FILE_STORAGE_WRITE)
storage.startWriteStruct("options", cv2.FILE_NODE_MAP)
for name, value in options.items():
    storage.write(name, value)
storage.endWriteStruct()
for name, trees in (("childs", childs), ("featureIds", ids), ("thresholds", thresholds)):
    storage.startWriteStruct(name, cv2.FILE_NODE_SEQ)
    for tree in trees:
        storage.startWriteStruct("", cv2.FILE_NODE_SEQ + cv2.FILE_NODE_FLOW)
        for value in tree:
            storage.write("", value)
        storage.endWriteStruct()
    storage.endWriteStruct()
# One list each for the whole forest, as the published model has it.
for name, values in (("edgeBoundaries", bounds), ("edgeBins", bins)):
    storage.startWriteStruct(name, cv2.FILE_NODE_SEQ)
    storage.startWriteStruct("", cv2.FILE_NODE_SEQ + cv2.FILE_NODE_FLOW)
    for value in values:
        storage.write("", value)
    storage.endWriteStruct()
    storage.endWriteStruct()
storage.release()

# The test draws the same image.
y, x = np.mgrid[0:48, 0:64]
image = np.stack([(x * 3 + 40 * (y > 20)) % 256, (y * 4 + 90 * (x > 30)) % 256, (x * y // 9) % 256], -1).astype(np.uint8)
detector = cv2.ximgproc.createStructuredEdgeDetection("structured_model.yml")
strength = detector.detectEdges(image.astype(np.float32) / np.float32(255))
orientation = detector.computeOrientation(strength)
thin = detector.edgesNms(strength, orientation, r=2, s=0, m=1, isParallel=False)
json.dump({"strength": [round(float(v), 6) for v in thin.ravel()], "orientation": [round(float(v), 6) for v in orientation.ravel()]}, open("structured.json", "w"))
print(image.shape, strength.max(), (thin > 0).mean(), np.isfinite(orientation).all(), orientation.min(), orientation.max())
