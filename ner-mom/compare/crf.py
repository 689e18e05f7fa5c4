"""Loss and gradient by pytorch-crf on the scores in WORK/crf.json."""
import json
import sys
import time

import torch
from torchcrf import CRF

torch.set_num_threads(1)
data = json.load(open(f"{sys.argv[1]}/crf.json"))
crf = CRF(9, batch_first=True)
with torch.no_grad():
    for name, parameter in crf.named_parameters():
        parameter.copy_(torch.tensor(data[name]).view_as(parameter))
emissions = torch.tensor(data["emissions"]).view(32, 40, 9).requires_grad_()
gold = torch.tensor(data["gold"])
times = []
for _ in range(30):
    emissions.grad = None
    crf.zero_grad()
    start = time.perf_counter()
    loss = -crf(emissions, gold, reduction="sum") / 32
    loss.backward()
    times.append(time.perf_counter() - start)
values = [loss.item(), emissions.grad.abs().sum().item(), crf.transitions.grad.abs().sum().item()]
print(json.dumps({"seconds": sorted(times)[15], "items": 32 * 40, "values": values}))
