"""Forward values and gradients of PyTorch layers and AdamW; writes layers.json."""
import json

import torch

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)


def pack(tensor):
    return {"shape": list(tensor.shape), "data": tensor.detach().flatten().tolist()}


out = {}
lstm = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
x = torch.randn(3, 5, 3, requires_grad=True)
lengths = [5, 3, 1]
packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
y, _ = torch.nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True)
(y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
out["lstm"] = {
    "input": pack(x), "lengths": lengths, "output": pack(y), "input_gradient": pack(x.grad),
    "parameters": {n: pack(p) for n, p in lstm.named_parameters()},
    "gradients": {n: pack(p.grad) for n, p in lstm.named_parameters()},
}

embedding, convolution = torch.nn.Embedding(7, 3, padding_idx=0), torch.nn.Conv1d(3, 5, 3, padding=1)
ids = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [2, 0, 0, 0]])
scores = convolution(embedding(ids).transpose(1, 2))
words = scores.masked_fill((ids == 0).unsqueeze(1), -1e300).amax(-1)
out["char_cnn"] = {
    "ids": ids.tolist(), "output": pack(words),
    "parameters": {"embedding.weight": pack(embedding.weight), "convolution.weight": pack(convolution.weight),
                   "convolution.bias": pack(convolution.bias)},
}

weight, bias = torch.randn(2, 3).requires_grad_(), torch.randn(2).requires_grad_()
start = {"weight": pack(weight), "bias": pack(bias)}
groups = [{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}]
optimiser = torch.optim.AdamW(groups, lr=0.05)
target = torch.randn(4, 2)
data = torch.randn(4, 3)
for _ in range(20):
    optimiser.zero_grad()
    ((data @ weight.T + bias - target) ** 2).mean().backward()
    optimiser.step()
out["adamw"] = {"start": start, "data": pack(data), "target": pack(target), "end": {"weight": pack(weight), "bias": pack(bias)}}

torch.set_default_dtype(torch.float32)
torch.manual_seed(11)
linear = torch.nn.Linear(4, 3)
out["linear"] = {"weight": pack(linear.weight.double()), "bias": pack(linear.bias.double())}
json.dump(out, open("layers.json", "w"), separators=(",", ":"))
