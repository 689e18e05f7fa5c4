"""Golden scores of pycocotools and of object-detection-metrics (PASCAL VOC) on random boxes.

pycocotools 2.0, object-detection-metrics 0.4.post1: python evaluation.py > evaluation.json
"""
import contextlib, copy, io, json
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from podm.metrics import BoundingBox, MethodAveragePrecision, get_pascal_voc_metrics

rng = np.random.default_rng(7)
images, annotations, results = [], [], []
for image in range(1, 61):
    images.append({"id": image, "file_name": f"{image}.jpg", "width": 320, "height": 240})
    for _ in range(int(rng.integers(0, 9))):
        w, h = np.exp(rng.uniform(np.log(8), np.log(200), 2)).round(1)
        x, y = rng.uniform(0, 320 - w), rng.uniform(0, max(240 - h, 1))
        box = [round(float(v), 1) for v in (x, y, w, h)]
        crowd = int(rng.random() < 0.08)
        area = round(box[2] * box[3] * float(rng.uniform(0.5, 1.0)), 2)
        category = int(rng.integers(1, 4))
        annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": category,
                            "bbox": box, "area": area, "iscrowd": crowd})
        for _ in range(int(rng.integers(0, 4))):
            jitter = rng.normal(0, 0.12, 4) * [box[2], box[3], box[2], box[3]]
            found = [round(float(v), 1) for v in np.add(box, jitter)]
            found[2], found[3] = max(found[2], 1.0), max(found[3], 1.0)
            # Few distinct scores, so that ties occur.
            results.append({"image_id": image, "category_id": category if rng.random() < 0.85 else int(rng.integers(1, 4)),
                            "bbox": found, "score": round(float(rng.random()), 2)})
    for _ in range(int(rng.integers(0, 20))):
        w, h = rng.uniform(5, 120, 2)
        box = [round(float(v), 1) for v in (rng.uniform(0, 200), rng.uniform(0, 150), w, h)]
        results.append({"image_id": image, "category_id": int(rng.integers(1, 4)), "bbox": box,
                        "score": round(float(rng.random() * 0.5), 2)})
categories = [{"id": i, "name": f"class{i}"} for i in (1, 2, 3, 4)]
truth = {"images": images, "annotations": annotations, "categories": categories}

with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO()
    coco.dataset = truth
    coco.createIndex()
    found = coco.loadRes(copy.deepcopy(results))
    scores = COCOeval(coco, found, "bbox")
    scores.evaluate(); scores.accumulate(); scores.summarize()


# End-exclusive boxes, crowds left out.
def voc(entry, score=None):
    x, y, w, h = entry["bbox"]
    return BoundingBox.of_bbox(str(entry["image_id"]), str(entry["category_id"]), x, y, x + w, y + h, score)


gold = [voc(a) for a in annotations if not a["iscrowd"]]
dets = [voc(r, r["score"]) for r in results]
ap = {}
for overlap in (0.5, 0.7):
    for name, method in (("area", MethodAveragePrecision.AllPointsInterpolation),
                         ("eleven_point", MethodAveragePrecision.ElevenPointsInterpolation)):
        metrics = get_pascal_voc_metrics(gold, dets, overlap, method=method)
        ap[f"{name}@{overlap}"] = {label: float(metric.ap) for label, metric in metrics.items()}
print(json.dumps({"truth": truth, "results": results, "coco": [float(s) for s in scores.stats], "voc": ap}))
