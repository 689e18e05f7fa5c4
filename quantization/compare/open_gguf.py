"""The file WORK/vocabulary.gguf through gguf-py's `GGUFReader`, the Python package that comes with llama.cpp."""
import json
import sys
import time

import gguf

path = f"{sys.argv[1]}/vocabulary.gguf"
seconds = float("inf")
for _ in range(2):
    start = time.perf_counter()
    reader = gguf.GGUFReader(path)
    seconds = min(seconds, time.perf_counter() - start)
fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def length(name):
    return sum(len(fields[name].parts[part]) for part in fields[name].data)


def total(name):
    return sum(float(fields[name].parts[part][0]) for part in fields[name].data)


values = [len(fields), len(reader.tensors), length("tokenizer.ggml.tokens"), length("tokenizer.ggml.merges"),
          total("tokenizer.ggml.scores"), total("tokenizer.ggml.token_type")]
print(json.dumps({"seconds": seconds, "items": 1, "values": values}))
