"""The sentences in WORK/bert.json through transformers' BERT with the weights in WORK, predicting or training."""
import json
import sys
import time

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForTokenClassification

torch.set_num_threads(1)
mode, work = sys.argv[1:]
config = BertConfig.from_json_file(f"{work}/config.json")
config.num_labels = 9
model = BertForTokenClassification(config)
model.load_state_dict(load_file(f"{work}/model.safetensors"))
model.eval()  # no dropout on either side
sentences = json.load(open(f"{work}/bert.json"))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)
values = []
start = time.perf_counter()
for i in range(0, len(sentences), 32):
    batch = [torch.tensor(s) for s in sentences[i : i + 32]]
    ids = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True)
    keep = ids != 0
    if mode == "train":
        labels = torch.where(keep, ids % 9, -100)
        loss = model(input_ids=ids, attention_mask=keep.long(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    else:
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=keep.long()).logits
            values.append(logits[keep].abs().sum(dtype=torch.float64).item())
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "items": sum(map(len, sentences)), "values": values}))
