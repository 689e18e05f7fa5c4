"""Training steps on WORK/transactions with sentence-transformers: mean pooling, Dense, Normalize, BatchSemiHardTripletLoss with cosine distance."""
import json
import sys
import time

import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.losses import BatchSemiHardTripletLoss
from sentence_transformers.losses.BatchHardTripletLoss import BatchHardTripletLossDistanceFunction
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

threads, work = int(sys.argv[1]), sys.argv[2] + "/transactions"
torch.set_num_threads(threads)
STEPS, ACCOUNTS, STRINGS = 40, 16, 4
strings = json.load(open(f"{work}/strings.json"))
transformer = Transformer(work, max_seq_length=48)
width = load_file(f"{work}/1_Dense/model.safetensors")["linear.weight"]
dense = Dense(width.shape[1], width.shape[0], bias=False, activation_function=torch.nn.Identity())
dense.linear.weight.data.copy_(width)
model = SentenceTransformer(modules=[transformer, Pooling(width.shape[1]), dense, Normalize()], device="cpu")
loss_function = BatchSemiHardTripletLoss(model, BatchHardTripletLossDistanceFunction.cosine_distance, margin=0.2)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)
rates = lambda step: (step + 1) / 4 if step < 4 else (STEPS + 1 - step) / (STEPS + 1 - 4)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates)
model.train()
values, items = [], 0
for step in range(STEPS + 1):
    if step == 1:
        start = time.perf_counter()
    texts = strings[step * ACCOUNTS * STRINGS : (step + 1) * ACCOUNTS * STRINGS]
    features = model.tokenize(texts)
    labels = torch.tensor([i % ACCOUNTS for i in range(len(texts))])
    loss = loss_function([features], labels)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    values.append(loss.item() * 1000)
    items += int(features["attention_mask"].sum()) if step else 0
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "items": items, "values": values}))
