"""One training epoch of a BiLSTM with character CNN in plain PyTorch, as it is usually written."""
import json
import random
import sys
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

torch.set_num_threads(1)
torch.manual_seed(1)
random.seed(1)
data = [json.loads(line) for line in open(f"{sys.argv[1]}/training.jsonl")]
words = {w: i + 2 for i, w in enumerate(sorted({w.lower() for s in data for w in s["words"]}))}
characters = {c: i + 2 for i, c in enumerate(sorted({c for s in data for w in s["words"] for c in w}))}
tags = {t: i for i, t in enumerate(sorted({t for s in data for t in s["tags"]}))}


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(len(words) + 2, 64, padding_idx=0)
        self.characters = nn.Embedding(len(characters) + 2, 16, padding_idx=0)
        self.convolution = nn.Conv1d(16, 32, 3, padding=1)
        self.lstm = nn.LSTM(96, 64, bidirectional=True, batch_first=True)
        self.output = nn.Linear(128, len(tags))
        self.dropout = nn.Dropout(0.3)

    def forward(self, word_ids, character_ids, lengths):
        batch, tokens, width = character_ids.shape
        chars = self.characters(character_ids.view(-1, width)).transpose(1, 2)
        chars = self.convolution(chars).amax(-1).view(batch, tokens, -1)
        x = self.dropout(torch.cat([self.words(word_ids), chars], -1))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.output(self.dropout(states))


def batches():
    random.shuffle(data)
    for at in range(0, len(data), 32):
        rows = data[at : at + 32]
        lengths = torch.tensor([len(r["words"]) for r in rows])
        word_ids = pad_sequence([torch.tensor([words[w.lower()] for w in r["words"]]) for r in rows], batch_first=True)
        width = min(24, max(len(w) for r in rows for w in r["words"]))
        character_ids = torch.zeros(len(rows), word_ids.shape[1], max(1, width), dtype=torch.long)
        for i, row in enumerate(rows):
            for j, word in enumerate(row["words"]):
                for k, c in enumerate(word[:24]):
                    character_ids[i, j, k] = characters[c]
        gold = pad_sequence([torch.tensor([tags[t] for t in r["tags"]]) for r in rows], batch_first=True, padding_value=-100)
        yield word_ids, character_ids, lengths, gold


model = Tagger()
optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)


def epoch():
    for word_ids, character_ids, lengths, gold in batches():
        optimiser.zero_grad()
        logits = model(word_ids, character_ids, lengths)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), gold.flatten(), ignore_index=-100)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
    return loss.item()


epoch()  # warm-up
start = time.perf_counter()
epoch()
print(json.dumps({"seconds": time.perf_counter() - start, "items": sum(len(s["words"]) for s in data), "values": []}))
