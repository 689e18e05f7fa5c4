"""Golden boxes of OpenCV's EdgeBoxes on generated edge maps.

opencv-contrib-python-headless 4.6.0.66, numpy 2.4: python edge_boxes.py > edge_boxes.json
Edge maps are bytes: strength is b / 256, orientation b * pi / 256 in f32.
"""
import base64, json
import cv2
import numpy as np


def scene(seed, width, height):
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(9):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = (int(rng.integers(8, width // 3)), int(rng.integers(8, height // 3)))
        colour = tuple(int(v) for v in rng.integers(0, 255, 3))
        if rng.random() < 0.5:
            cv2.ellipse(image, centre, axes, float(rng.integers(0, 180)), 0, 360, colour, -1)
        else:
            corner = (centre[0] + axes[0], centre[1] + axes[1])
            cv2.rectangle(image, centre, corner, colour, -1)
    noise = rng.normal(0, 6, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def edges(image):
    smooth = cv2.GaussianBlur(image.astype(np.float32) / 255, (0, 0), 1.5)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    size = dx * dx + dy * dy
    best = size.argmax(2)[..., None]
    pick = lambda a: np.take_along_axis(a, best, 2)[..., 0]
    dx, dy = pick(dx), pick(dy)
    strength = np.sqrt(dx * dx + dy * dy)
    strength /= strength.max()
    orientation = np.mod(np.arctan2(dy, dx), np.pi).astype(np.float32)
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    keep = np.ones(strength.shape, bool)
    for step in (-2, -1, 1, 2):
        near = cv2.remap(strength, x + step * np.cos(orientation), y + step * np.sin(orientation),
                         cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        keep &= near <= strength
    return strength * keep, orientation


def case(seed, width, height, **options):
    strength, orientation = edges(scene(seed, width, height))
    strength = np.clip(np.rint(strength * 256), 0, 255).astype(np.uint8)
    orientation = np.clip(np.rint(orientation / np.pi * 256), 0, 255).astype(np.uint8)
    e = strength.astype(np.float32) / np.float32(256)
    o = orientation.astype(np.float32) * (np.float32(np.pi) / np.float32(256))
    finder = cv2.ximgproc.createEdgeBoxes()
    for name, value in options.items():
        getattr(finder, "set" + name)(value)
    boxes, scores = finder.getBoundingBoxes(e, o)
    return {
        "width": width, "height": height, "options": options,
        "strength": base64.b64encode(strength.tobytes()).decode(),
        "orientation": base64.b64encode(orientation.tobytes()).decode(),
        # OpenCV shifts by one pixel.
        "boxes": [[int(x) - 1, int(y) - 1, int(w), int(h)] for x, y, w, h in boxes[:300]],
        "scores": [float(np.float32(s)) for s in np.ravel(scores)[:300]],
        "count": len(boxes),
    }


print(json.dumps([
    case(1, 160, 112, MaxBoxes=1000),
    case(2, 97, 143, MaxBoxes=400, MinBoxArea=150.0),
    case(3, 128, 128, MaxBoxes=1000, Alpha=0.7, Beta=0.9, Eta=0.9996, MinScore=0.02),
    case(4, 200, 60, MaxBoxes=1000, MaxAspectRatio=5.0, Kappa=1.3, Gamma=1.0, EdgeMinMag=0.05, ClusterMinMag=1.0),
]))
