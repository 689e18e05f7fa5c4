"""Small images in Pillow's modes, and the bytes that OpenAI's transform cuts out of them.

usage: images.py OPENAI_CLIP_FOLDER OUT_FOLDER
"""
import hashlib, io, json, pathlib, sys

import numpy as np
import torchvision.transforms as T
from PIL import Image
from torchvision.transforms import InterpolationMode

sys.path.insert(0, sys.argv[1])
from clip.clip import _transform

out = pathlib.Path(sys.argv[2])
out.mkdir(exist_ok=True)
rng = np.random.default_rng(3)


def smooth(height, width, channels):
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(x / (3 + c) + c) * np.cos(y / (4 + c)) + rng.normal(0, 12, (height, width)) for c in range(channels)]
    return np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)


def rgb(height, width):
    return Image.fromarray(smooth(height, width, 3), "RGB")


images = {}
for name, (height, width) in {"wide": (37, 90), "tall": (83, 41), "square": (24, 24), "small": (11, 17), "line": (1, 40), "odd": (47, 70)}.items():
    images[f"rgb-{name}.png"] = rgb(height, width)
images["grey.png"] = Image.fromarray(smooth(39, 52, 1)[..., 0], "L")
images["grey-alpha.png"] = Image.fromarray(smooth(39, 52, 2), "LA")
images["rgba.png"] = Image.fromarray(smooth(39, 52, 4), "RGBA")
images["palette.png"] = rgb(39, 52).quantize(60)
images["palette-4.png"] = rgb(39, 53).quantize(9)
images["bilevel.png"] = Image.fromarray(smooth(39, 53, 1)[..., 0], "L").convert("1")
for name, options in {"jpeg-444.jpg": dict(subsampling=0), "jpeg-422.jpg": dict(subsampling=1), "jpeg-420.jpg": dict(subsampling=2),
                      "jpeg-progressive.jpg": dict(subsampling=2, progressive=True), "jpeg-low.jpg": dict(quality=15),
                      "jpeg-restart.jpg": dict(restart_marker_blocks=2)}.items():
    images[name] = (rgb(61, 83), options)
exif = Image.Exif()
exif[0x0112] = 6
images["jpeg-exif.jpg"] = (rgb(45, 60), dict(exif=exif))
images["jpeg-grey.jpg"] = (Image.fromarray(smooth(45, 60, 1)[..., 0], "L"), {})
images["jpeg-cmyk.jpg"] = (Image.fromarray(smooth(45, 60, 4), "CMYK"), {})

golden = {}
for name, image in images.items():
    image, options = image if isinstance(image, tuple) else (image, {})
    image.save(out / name, **({"quality": 88, **options} if name.endswith("jpg") else {"optimize": True}))
    loaded = Image.open(out / name)
    loaded.load()
    entry = {"mode": loaded.mode, "size": list(loaded.size), "pixels": hashlib.sha256(loaded.tobytes()).hexdigest()}
    for side in (16, 31):
        whole = _transform(side)
        crop = T.Compose(whole.transforms[:3])(loaded)
        entry[f"crop-{side}"] = hashlib.sha256(crop.tobytes()).hexdigest()
        entry[f"tensor-{side}"] = hashlib.sha256(whole(loaded).numpy().astype("<f4").tobytes()).hexdigest()
    golden[name] = entry
(out.parent / "images.json").write_text(json.dumps(golden, indent=1) + "\n")
