"""One training epoch of the base tagger in plain PyTorch with pytorch-crf, as it is usually written."""
import json
import random
import sys
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torchcrf import CRF

torch.set_num_threads(1)
torch.manual_seed(1)
random.seed(1)
data = [json.loads(line) for line in open(f"{sys.argv[-1]}/training.jsonl")]
words = {w: i + 2 for i, w in enumerate(sorted({w.lower() for s in data for w in s["words"]}))}
characters = {c: i + 2 for i, c in enumerate(sorted({c for s in data for w in s["words"] for c in w}))}
tags = {t: i for i, t in enumerate(sorted({t for s in data for t in s["tags"]}))}


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(len(words) + 2, 50, padding_idx=0)
        self.characters = nn.Embedding(len(characters) + 2, 25, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(25, 10, k) for k in (2, 3, 4))
        self.transforms = nn.ModuleList(nn.Linear(30, 30) for _ in range(2))
        self.gates = nn.ModuleList(nn.Linear(30, 30) for _ in range(2))
        self.lstm = nn.LSTM(80, 64, bidirectional=True, batch_first=True)
        self.output = nn.Linear(128, len(tags))
        self.crf = CRF(len(tags), batch_first=True)
        self.dropout_input, self.dropout_output = nn.Dropout(0.2), nn.Dropout(0.5)

    def forward(self, word_ids, character_ids, lengths, gold):
        batch, tokens, width = character_ids.shape
        chars = self.characters(character_ids.view(-1, width)).transpose(1, 2)
        chars = torch.cat([torch.tanh(convolve(chars)).amax(-1) for convolve in self.convolutions], -1)
        for transform, gate in zip(self.transforms, self.gates):
            share = torch.sigmoid(gate(chars))
            chars = share * torch.tanh(transform(chars)) + (1 - share) * chars
        x = self.dropout_input(torch.cat([self.words(word_ids), chars.view(batch, tokens, -1)], -1))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        emissions = self.output(self.dropout_output(states))
        mask = torch.arange(tokens)[None] < lengths[:, None]
        return -self.crf(emissions, gold, mask=mask, reduction="mean")


def batches():
    random.shuffle(data)
    for at in range(0, len(data), 16):
        rows = data[at : at + 16]
        lengths = torch.tensor([len(r["words"]) for r in rows])
        word_ids = pad_sequence([torch.tensor([words[w.lower()] for w in r["words"]]) for r in rows], batch_first=True)
        width = max(4, min(24, max(len(w) for r in rows for w in r["words"])))
        character_ids = torch.zeros(len(rows), word_ids.shape[1], width, dtype=torch.long)
        for i, row in enumerate(rows):
            for j, word in enumerate(row["words"]):
                for k, c in enumerate(word[:24]):
                    character_ids[i, j, k] = characters[c]
        gold = pad_sequence([torch.tensor([tags[t] for t in r["tags"]]) for r in rows], batch_first=True)
        yield word_ids, character_ids, lengths, gold


model = Tagger()
optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)


def epoch():
    for word_ids, character_ids, lengths, gold in batches():
        optimiser.zero_grad()
        loss = model(word_ids, character_ids, lengths, gold)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
    return loss.item()


epoch()  # warm-up
start = time.perf_counter()
epoch()
print(json.dumps({"seconds": time.perf_counter() - start, "items": sum(len(s["words"]) for s in data), "values": []}))
