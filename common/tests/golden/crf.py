"""Log-likelihood, gradients and decoding by pytorch-crf; writes crf.json."""
import json

import torch
from torchcrf import CRF

torch.manual_seed(5)
torch.set_default_dtype(torch.float64)


def pack(tensor):
    return {"shape": list(tensor.shape), "data": tensor.detach().flatten().tolist()}


crf = CRF(4, batch_first=True)
emissions = torch.randn(3, 6, 4, requires_grad=True)
lengths = [6, 3, 1]
tags = torch.randint(4, (3, 6))
mask = torch.arange(6).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)
loss = -crf(emissions, tags, mask=mask, reduction="mean")
loss.backward()
json.dump({
    "emissions": pack(emissions), "lengths": lengths, "tags": [t[:n].tolist() for t, n in zip(tags, lengths)],
    "parameters": {n: pack(p) for n, p in crf.named_parameters()}, "loss": loss.item(),
    "emission_gradient": pack(emissions.grad), "gradients": {n: pack(p.grad) for n, p in crf.named_parameters()},
    "decoded": crf.decode(emissions, mask=mask),
}, open("crf.json", "w"), separators=(",", ":"))
