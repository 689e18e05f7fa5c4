"""Hidden states and gradients of transformers' BertModel with weights given by a formula; prints bert.json.

Weight number i of the tensor that is number t in the sorted list of names is 0.3 sin(t + 0.37 i), LayerNorm weights 1 more.
"""
import json
import torch
import transformers
from transformers import BertConfig, BertModel

IDS = [[2, 9, 14, 5, 3, 0, 0], [2, 22, 3, 0, 0, 0, 0], [2, 7, 7, 11, 19, 4, 3]]
TYPES = [[0, 0, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1]]
GRADIENTS = [
    "embeddings.word_embeddings.weight",
    "embeddings.LayerNorm.bias",
    "encoder.layer.0.attention.self.query.weight",
    "encoder.layer.0.attention.self.key.bias",
    "encoder.layer.1.attention.output.LayerNorm.weight",
    "encoder.layer.1.intermediate.dense.bias",
]


def config(act):
    return BertConfig(
        vocab_size=23, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24, hidden_act=act,
        max_position_embeddings=9, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )


def tensor(t):
    return {"shape": list(t.shape), "data": t.detach().flatten().tolist()}


def model(act):
    bert = BertModel(config(act), add_pooling_layer=False).double()
    with torch.no_grad():
        for t, (name, value) in enumerate(sorted(bert.named_parameters())):
            value.copy_((t + 0.37 * torch.arange(value.numel(), dtype=torch.float64)).sin().mul(0.3).view_as(value))
            if name.endswith("LayerNorm.weight"):
                value.add_(1)
    return bert.eval()


def run(act):
    ids, types = torch.tensor(IDS), torch.tensor(TYPES)
    keep = ids != 0
    bert = model(act)
    output = bert(ids, attention_mask=keep.long(), token_type_ids=types)
    if act != "gelu":
        return {"last": tensor(output.last_hidden_state * keep.unsqueeze(-1))}
    weights = torch.arange(16, dtype=torch.float64).cos() * keep.unsqueeze(-1)
    (output.last_hidden_state * weights).sum().backward()
    named = dict(bert.named_parameters())
    return {
        "last": tensor(output.last_hidden_state * keep.unsqueeze(-1)),
        "gradients": {name: tensor(named[name].grad) for name in GRADIENTS},
    }


cases = {act: run(act) for act in ["gelu", "gelu_new", "relu"]}
names = sorted(name for name, _ in BertModel(config("gelu"), add_pooling_layer=False).named_parameters())
print(json.dumps({
    "torch": torch.__version__, "transformers": transformers.__version__, "config": config("gelu").to_dict(),
    "names": names, "ids": IDS, "token_types": TYPES, "cases": cases,
}))
