"""Golden pooled features of torchvision 0.26.0: python roi.py > roi.json"""
import json
import torch
from torchvision.ops import roi_align, roi_pool

torch.manual_seed(3)
features = torch.randn(1, 4, 9, 13)
boxes = torch.tensor([[0., 0., 208., 144.], [17.5, 33., 91.25, 60.], [150., 100., 230., 170.], [40., 40., 43., 44.], [-30., -20., 30., 50.]])
cases = []
for cells in (2, 3):
    for samples, aligned in ((2, True), (2, False), (0, True), (0, False)):
        out = roi_align(features, [boxes], cells, 1 / 16, samples, aligned)
        cases.append({"kind": "align", "cells": cells, "samples": samples, "aligned": aligned, "values": out.permute(0, 2, 3, 1).flatten().tolist()})
    out = roi_pool(features, [boxes], cells, 1 / 16)
    cases.append({"kind": "max", "cells": cells, "values": out.permute(0, 2, 3, 1).flatten().tolist()})
print(json.dumps({"features": features[0].permute(1, 2, 0).flatten().tolist(), "boxes": boxes.tolist(), "cases": cases}))
