"""The texts in WORK/encode through the model there, as PyLate encodes (longest first, padded batches of 32); with a third argument `pylate`, with PyLate itself."""
import json
import string
import sys
import time

import torch

threads, work = int(sys.argv[1]), sys.argv[2] + "/encode"
mode = sys.argv[3] if len(sys.argv) > 3 else "plain"
torch.set_num_threads(threads)
texts = json.load(open(f"{work}/texts.json"))

if mode == "pylate":
    from pylate import models

    model = models.ColBERT(work, device="cpu")

    def encode(texts):
        return model.encode(texts, is_query=False, batch_size=32, convert_to_numpy=True, show_progress_bar=False)
else:
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, BertModel

    settings = json.load(open(f"{work}/config_sentence_transformers.json"))
    tokenizer = AutoTokenizer.from_pretrained(work)
    bert = BertModel.from_pretrained(work, add_pooling_layer=False).eval()
    weight = load_file(f"{work}/1_Dense/model.safetensors")["linear.weight"]
    marker = tokenizer.convert_tokens_to_ids(settings["document_prefix"])
    skip = {tokenizer.convert_tokens_to_ids(c) for c in string.punctuation} - {tokenizer.unk_token_id}

    @torch.inference_mode()
    def encode(texts):
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        vectors = [None] * len(texts)
        for at in range(0, len(order), 32):
            places = order[at : at + 32]
            batch = tokenizer([texts[i] for i in places], padding=True, truncation=True, max_length=settings["document_length"] - 1, return_tensors="pt")
            ids, mask = (torch.cat([x[:, :1], torch.full((len(places), 1), fill), x[:, 1:]], 1) for x, fill in ((batch["input_ids"], marker), (batch["attention_mask"], 1)))
            rows = bert(input_ids=ids, attention_mask=mask).last_hidden_state @ weight.T
            keep = mask.bool() & ~torch.isin(ids, torch.tensor(sorted(skip) or [-1]))
            for place, row, kept in zip(places, rows, keep):
                vectors[place] = torch.nn.functional.normalize(row[kept], dim=-1).numpy()
        return vectors


encode(texts[:8])
start = time.perf_counter()
vectors = encode(texts)
seconds = time.perf_counter() - start
values = [float(v[0].astype("float64").sum()) for v in vectors]
print(json.dumps({"seconds": seconds, "items": sum(len(v) for v in vectors), "values": values}))
