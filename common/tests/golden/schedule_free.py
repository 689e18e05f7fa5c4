"""Twenty steps of schedulefree's AdamW; prints schedule_free.json.

Gradient number i of step t is sin(1.3 i + t) for `weight` [3, 2], half of that for `bias` [3] (numbered on). Both start at cos(i).
"""
import json
from importlib.metadata import version
import schedulefree
import torch


def tensor(t):
    return {"shape": list(t.shape), "data": t.detach().flatten().tolist()}


start = torch.arange(9, dtype=torch.float64).cos()
weight, bias = start[:6].view(3, 2).clone().requires_grad_(), start[6:].clone().requires_grad_()
groups = [{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}]
optimizer = schedulefree.AdamWScheduleFree(groups, lr=0.05, warmup_steps=4, foreach=False)
optimizer.train()
path = []
for t in range(20):
    g = (1.3 * torch.arange(9, dtype=torch.float64) + t).sin()
    weight.grad, bias.grad = g[:6].view(3, 2).clone(), g[6:].clone() / 2
    optimizer.step()
    path.append({"weight": tensor(weight), "bias": tensor(bias)})
optimizer.eval()
print(json.dumps({
    "versions": {name: version(name) for name in ["torch", "schedulefree"]},
    "steps": {"1": path[0], "6": path[5], "20": path[19]},
    "average": {"weight": tensor(weight), "bias": tensor(bias)},
}))
