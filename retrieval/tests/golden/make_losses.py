"""Golden losses by PyTorch, with the lines of the published training code (bclavie/ColBERT, training.py and colbert.py).

    make_losses.py OUT.json
"""
import json
import sys

import torch

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
student = (torch.randn(3, 4) * 5 + 20).round(decimals=3)
teacher = (torch.randn(3, 4) * 3).round(decimals=3)
all_scores = (torch.randn(3, 12) * 5).round(decimals=3)


def min_max(scores):
    low, high = scores.min(dim=1, keepdim=True).values, scores.max(dim=1, keepdim=True).values
    return (scores - low) / (high - low + 1e-8)


def kl(s, t):
    loss = torch.nn.KLDivLoss(reduction="batchmean", log_target=True)
    return loss(torch.log_softmax(s, dim=-1), torch.log_softmax(t, dim=-1))


def margin(s, t):
    return torch.nn.functional.mse_loss(s[:, :1] - s[:, 1:], t[:, :1] - t[:, 1:])


def in_batch(scores, nway):  # compute_ib_loss
    batch, columns = scores.shape
    keep = [list(range(q * columns, q * columns + nway * q + 1)) + list(range(q * columns + nway * (q + 1), q * columns + columns)) for q in range(batch)]
    rows = scores.flatten()[sum(keep, [])].view(batch, -1)
    return torch.nn.CrossEntropyLoss()(rows, torch.arange(batch) * nway)


arms = {"none": (student, teacher), "teacher-only": (student, min_max(teacher)), "both": (min_max(student), min_max(teacher))}
golden = {
    "package": f"torch {torch.__version__}",
    "student": student.tolist(), "teacher": teacher.tolist(), "all": all_scores.tolist(),
    "kl-divergence": {arm: kl(s, t).item() for arm, (s, t) in arms.items()},
    "margin-mse": {arm: margin(s, t).item() for arm, (s, t) in arms.items()},
    # as published: MarginMSE of the teacher's log-softmax
    "mixed": {arm: (kl(s, t) + 0.2 * margin(s, torch.log_softmax(t, dim=-1))).item() for arm, (s, t) in arms.items()},
    "cross-entropy": torch.nn.functional.cross_entropy(student, torch.zeros(3, dtype=torch.long)).item(),
    "in-batch": in_batch(all_scores, 4).item(),
}
with open(sys.argv[1], "w") as file:
    json.dump(golden, file, indent=1)
    file.write("\n")
