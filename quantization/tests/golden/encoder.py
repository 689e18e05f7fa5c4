"""Sentence vectors of all-MiniLM-L6-v2 by transformers: `python encoder.py FOLDER`, the folder with its files.

Mean over tokens, unit length; the first eight components of each vector.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

SENTENCES = [
    "The cat sat on the mat.",
    "A dog ran away",
    "How many points did the Panthers defense surrender?",
    "naïve café, straße 東京 2024 😀",
    "x",
    " ".join(["a sentence of far more than two hundred and fifty-six tokens"] * 30),
]


def main():
    folder = sys.argv[1]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    batch = tokenizer(SENTENCES, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    keep = batch["attention_mask"].unsqueeze(-1).float()
    vectors = torch.nn.functional.normalize((states * keep).sum(1) / keep.sum(1), dim=1)
    recorded = {"sentences": SENTENCES, "vectors": [[round(x, 7) for x in v[:8].tolist()] for v in vectors]}
    Path(__file__).with_suffix(".json").write_text(json.dumps(recorded, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
