"""Training steps on WORK/train in PyTorch as PyLate makes them: padded batches, MaxSim with masks, KL divergence of min-max-normalised scores."""
import json
import string
import sys
import time

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertModel

threads, work = int(sys.argv[1]), sys.argv[2] + "/train"
torch.set_num_threads(threads)
data = json.load(open(f"{work}/data.json"))
settings = json.load(open(f"{work}/config_sentence_transformers.json"))
tokenizer = AutoTokenizer.from_pretrained(work)
bert = BertModel.from_pretrained(work, add_pooling_layer=False).train()  # its dropout is 0
weight = torch.nn.Parameter(load_file(f"{work}/1_Dense/model.safetensors")["linear.weight"])
markers = [tokenizer.convert_tokens_to_ids(settings[key]) for key in ("query_prefix", "document_prefix")]
skip = torch.tensor(sorted({tokenizer.convert_tokens_to_ids(c) for c in string.punctuation} - {tokenizer.unk_token_id}) or [-1])
optimizer = torch.optim.AdamW([*bert.parameters(), weight], lr=1e-4, weight_decay=0.0)
BATCH, WAYS, STEPS = 8, 4, 6


def tokens(texts, marker, length, padding):
    batch = tokenizer(texts, padding=padding, truncation=True, max_length=length - 1, return_tensors="pt")
    n = len(texts)
    ids = torch.cat([batch["input_ids"][:, :1], torch.full((n, 1), marker), batch["input_ids"][:, 1:]], 1)
    mask = torch.cat([batch["attention_mask"][:, :1], torch.ones(n, 1, dtype=torch.long), batch["attention_mask"][:, 1:]], 1)
    return ids, mask


def vectors(ids, mask):
    return torch.nn.functional.normalize(bert(input_ids=ids, attention_mask=mask).last_hidden_state @ weight.T, dim=-1)


def min_max(scores):
    low, high = scores.min(1, keepdim=True).values, scores.max(1, keepdim=True).values
    return (scores - low) / (high - low + 1e-8)


values, items = [], 0
for step in range(STEPS + 1):
    if step == 1:
        start = time.perf_counter()
    examples = data["examples"][step * BATCH : (step + 1) * BATCH]
    ids, mask = tokens([data["queries"][e["query"]] for e in examples], markers[0], settings["query_length"], "max_length")
    ids[mask == 0] = tokenizer.mask_token_id
    queries = vectors(ids, mask)
    document_ids, document_mask = tokens([data["documents"][d] for e in examples for d in e["documents"]], markers[1], settings["document_length"], True)
    documents = vectors(document_ids, document_mask).view(BATCH, WAYS, document_ids.shape[1], -1)
    keep = (document_mask.bool() & ~torch.isin(document_ids, skip)).view(BATCH, WAYS, 1, -1)
    similarity = torch.einsum("bqd,bwtd->bwqt", queries, documents).masked_fill(~keep, float("-inf"))
    scores = similarity.max(-1).values.sum(-1)
    teacher = torch.tensor([e["scores"] for e in examples])
    loss = torch.nn.functional.kl_div(min_max(scores).log_softmax(-1), min_max(teacher).log_softmax(-1), reduction="batchmean", log_target=True)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    values.append(loss.item() * 1000)
    items += (ids.numel() + int(document_mask.sum())) if step else 0
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "items": items, "values": values}))
