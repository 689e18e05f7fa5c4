"""The peers of `peer_clip`: open_clip, transformers, Pillow with torchvision, SimpleTokenizer, per-row sorting.

usage: clip.py MODE [POSITIONS TEXTS] WORK
"""
import json
import os
import pathlib
import sys
import time

import torch

torch.set_num_threads(1)
mode, *numbers, work = sys.argv[1:]
work = pathlib.Path(work) / "clip"
data = pathlib.Path(os.environ.get("BENKYOKAI_DATA", "data"))


def answer(seconds, items, values):
    print(json.dumps({"seconds": seconds, "items": items, "values": values}))


def timed(run):
    with torch.inference_mode():
        run()
        start = time.process_time()
        result = run()
        return time.process_time() - start, result


def open_clip_model(positions):
    import open_clip
    from safetensors.torch import load_file

    folder = work / f"model-{positions}"
    config = json.load(open(folder / "open_clip_config.json"))["model_cfg"]
    model = open_clip.model.CLIP(**config).eval()
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    return model


def normalised(x):
    return torch.nn.functional.normalize(x, dim=-1)


def hub_model():
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(work / "model-77", attn_implementation="sdpa").eval()


def pooled(x):
    return x if torch.is_tensor(x) else x.pooler_output


if mode in ("image-open-clip", "image-transformers"):
    from safetensors.torch import load_file

    images = load_file(work / "images.safetensors")["images"]
    if mode == "image-open-clip":
        model = open_clip_model(77)
        run = lambda: normalised(model.encode_image(images))
    else:
        model = hub_model()
        run = lambda: normalised(pooled(model.get_image_features(pixel_values=images)))
    seconds, result = timed(run)
    answer(seconds, len(images), result[:, :8].flatten().tolist())
elif mode in ("text-open-clip", "text-transformers"):
    import open_clip

    positions = int(numbers[0])
    captions = json.load(open(work / "captions.json"))
    # The padded form of `clip.tokenize`, to the whole context, as the official evaluation has it.
    ids = open_clip.SimpleTokenizer(context_length=positions)(captions)
    if mode == "text-open-clip":
        model = open_clip_model(positions)
        run = lambda: normalised(model.encode_text(ids))
    else:
        model = hub_model()
        # transformers pads to the longest text of the batch.
        ids = ids[:, : int(ids.argmax(1).max()) + 1]
        run = lambda: normalised(pooled(model.get_text_features(input_ids=ids)))
    seconds, result = timed(run)
    answer(seconds, len(captions), result[:, :8].flatten().tolist())
elif mode == "zero-shot-open-clip":
    import open_clip

    names = json.load(open(work / "classes.json"))
    model, tokenizer = open_clip_model(77), open_clip.SimpleTokenizer()
    templates = [lambda name, t=t: t.replace("{}", name) for t in names["templates"]]
    build = lambda: open_clip.build_zero_shot_classifier(model, tokenizer, names["classes"], templates, num_classes_per_batch=10)
    seconds, result = timed(build)
    answer(seconds, len(names["classes"]) * len(templates), result.T[:, :8].flatten().tolist())
elif mode == "preprocess":
    import numpy as np
    from PIL import Image
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

    # OpenAI's `_transform`.
    transform = Compose([Resize(224, interpolation=InterpolationMode.BICUBIC), CenterCrop(224), lambda image: image.convert("RGB"), ToTensor(),
                         Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))])
    paths = sorted((data / "coco-ccby-29/images").glob("*.jpg"))
    transform(Image.open(paths[0]))
    start = time.process_time()
    tensors = [transform(Image.open(path)) for path in paths]
    seconds = time.process_time() - start
    weights = np.arange(3 * 224 * 224) % 1009 + 1.0
    answer(seconds, len(paths), [float((t.numpy().astype("f8").ravel() * weights).sum()) for t in tensors])
elif mode == "tokenizer":
    import open_clip

    captions = [json.loads(line)["caption"] for line in open(data / "imageinwords/long_captions.jsonl", encoding="utf-8")]
    tokenizer = open_clip.SimpleTokenizer()
    tokenizer.encode("“warm”")
    start = time.process_time()
    ids = [tokenizer.encode(text) for text in captions]
    seconds = time.process_time() - start
    answer(seconds, sum(map(len, ids)), [float(sum(t * (i + 1) for row in ids[at : at + 100] for i, t in enumerate(row))) for at in range(0, len(ids), 100)])
elif mode == "metrics":
    images, texts = map(int, numbers)
    matrix = torch.frombuffer(bytearray((work / "similarities.bin").read_bytes()), dtype=torch.float32).view(images, texts)
    per_image = texts // images
    start = time.process_time()
    hits = {k: [0, 0] for k in (1, 5, 10)}
    for image, row in enumerate(matrix):
        order = row.argsort(descending=True)
        own = range(image * per_image, (image + 1) * per_image)
        for k, counts in hits.items():
            counts[0] += any(text in own for text in order[:k].tolist())
    for text, row in enumerate(matrix.T):
        order = row.argsort(descending=True)
        for k, counts in hits.items():
            counts[1] += text // per_image in order[:k].tolist()
    seconds = time.process_time() - start
    answer(seconds, images + texts, [value for a, b in hits.values() for value in (a / images, b / texts)])
else:
    sys.exit(__doc__)
