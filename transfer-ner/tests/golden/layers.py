"""Golden values of transfer-ner's layers: `python layers.py > layers.json`."""
import json

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from torch import nn

rng = np.random.default_rng(7)
x = rng.normal(size=(12, 4))
y = rng.normal(size=(12, 4))
rotation, _ = orthogonal_procrustes(x, y)  # x R ≈ y on rows; ours maps W x, so W = Rᵀ


def golden(a):
    a = a.detach().numpy() if isinstance(a, torch.Tensor) else a
    return {"shape": list(a.shape), "data": [float(v) for v in a.ravel()]}


torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
batch, tokens, width, heads = 2, 5, 8, 4
states = torch.randn(batch, tokens, width)
keep = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
linear = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
norm = nn.LayerNorm(width)
with torch.no_grad():
    norm.weight.normal_()
    norm.bias.normal_()


def split(z):
    return torch.relu(z).view(batch, tokens, heads, width // heads).transpose(1, 2)


projected = [split(linear[name](states)) for name in ("query", "key", "value")]
context = nn.functional.scaled_dot_product_attention(*projected, attn_mask=keep[:, None, None, :])
output = norm(states + context.transpose(1, 2).reshape(batch, tokens, width))
weights = {f"{name}.{kind}": golden(getattr(layer, kind)) for name, layer in linear.items() for kind in ("weight", "bias")}
weights |= {"norm.weight": golden(norm.weight), "norm.bias": golden(norm.bias)}

logits = torch.tensor([2.1972245773362196, 0.4054651081081644, -1.3862943611198906, 0.8472978603872034])
labels = torch.tensor([1.0, 1.0, 0.0, 0.0])
cross_entropy = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
focal = (1 - torch.exp(-cross_entropy)) ** 2 * cross_entropy
alpha = torch.where(labels == 1, 0.25, 0.75)

print(
    json.dumps(
        {
            "procrustes": {"x": golden(x), "y": golden(y), "rotation": golden(rotation.T.copy())},
            "heads": {"states": golden(states), "keep": keep.tolist(), "weights": weights, "output": golden(output)},
            "focal": {
                "logits": golden(logits),
                "labels": [1, 1, 0, 0],
                "grad": (alpha * focal).tolist(),
                "symmetric_half": (focal / 2).tolist(),
            },
        }
    )
)
