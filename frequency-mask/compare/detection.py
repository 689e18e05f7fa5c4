"""The small residual network in PyTorch: an epoch with a DataLoader, or scores of a folder.

python detection.py training|detect WORK
"""

import io
import json
import os
import random
import sys
import time

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.utils.data import DataLoader, Dataset

what, work = sys.argv[1:]
torch.set_num_threads(1)
torch.manual_seed(1)
CROP, BATCH = 224, 32
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


class Block(nn.Module):
    def __init__(self, source, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(source, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if source != width or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(source, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + (x if self.downsample is None else self.downsample(x)))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Block(8, 8, 1))
        self.layer2 = nn.Sequential(Block(8, 16, 2))
        self.layer3 = nn.Sequential(Block(16, 32, 2))
        self.fc = nn.Linear(32, 1)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3))).squeeze(1)


def official_mask(image):
    array = np.asarray(image).astype(np.complex64)
    height, width, _ = array.shape
    chosen = np.random.permutation(height * width)[: int(np.ceil(height * width * 0.15))]
    mask = np.ones((height, width, 3), np.complex64)
    mask[chosen // width, chosen % width, :] = 0
    out = np.fft.ifftn(np.fft.fftn(array, axes=(0, 1)) * mask, axes=(0, 1)).real
    return Image.fromarray(out.astype(np.uint8))


def training_image(path):
    """Mask, resize (short side 256: the identity here), blur, JPEG, crop, flip: the official order and probabilities."""
    image = np.array(official_mask(Image.open(path).convert("RGB")))
    if random.random() < 0.1:
        sigma = random.random() * 3
        for channel in range(3):
            gaussian_filter(image[:, :, channel], output=image[:, :, channel], sigma=sigma)
    if random.random() < 0.1:
        out = io.BytesIO()
        Image.fromarray(image).save(out, format="jpeg", quality=random.choice([30, 100]))
        image = np.array(Image.open(out))
    y, x = random.randint(0, 256 - CROP), random.randint(0, 256 - CROP)
    image = image[y : y + CROP, x : x + CROP]
    return image[:, ::-1] if random.random() < 0.5 else image


def tensor(image):
    return torch.from_numpy(((image.astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1).copy())


def centre(image):
    top, left = (image.shape[0] - CROP) // 2, (image.shape[1] - CROP) // 2
    return image[top : top + CROP, left : left + CROP]


class Pictures(Dataset):
    def __init__(self, train):
        folder = f"{work}/pictures"
        self.files = [(f"{folder}/{name}/{file}", float(name == "1_fake")) for name in ("0_real", "1_fake") for file in sorted(os.listdir(f"{folder}/{name}"))]
        self.train = train

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        path, label = self.files[index]
        image = training_image(path) if self.train else centre(np.asarray(Image.open(path).convert("RGB")))
        return tensor(image), label


model = Small()
values = []
# As many workers as the machine has cores, like the threads that read ahead on the other side.
loader = DataLoader(Pictures(what == "training"), BATCH, shuffle=what == "training", num_workers=os.cpu_count())
if what == "training":
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
    loss = nn.BCEWithLogitsLoss()
    started = time.perf_counter()
    for images, labels in loader:
        optimiser.zero_grad()
        loss(model(images), labels.float()).backward()
        optimiser.step()
    seconds = time.perf_counter() - started
else:
    model.load_state_dict(load_file(f"{work}/small-resnet.safetensors"), strict=False)
    model.eval()
    started = time.perf_counter()
    with torch.no_grad():
        for images, _ in loader:
            model(images)
    seconds = time.perf_counter() - started
    y, x = np.mgrid[0:256, 0:256]
    drawn = np.stack([x % 251, y % 241, (x + y) % 239], -1).astype(np.uint8)
    with torch.no_grad():
        values = model(tensor(centre(drawn))[None]).double().tolist()
print(json.dumps({"seconds": seconds, "items": len(loader.dataset), "values": values}))
