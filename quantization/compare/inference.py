"""The quantized model in WORK/random-model through llama.cpp: tokens per second, one after the other or 512 at once.

Arguments: generate|prompt TYPE THREADS WORK. llama.cpp's own settings, its interleaved layouts included. With one
thread time is the processor's. The values are
logits over their usual size.
"""
import json
import sys
import time

import numpy as np
from llama_cpp import llama_cpp as llama

BEFORE, REPEATS = 16, 3
mode, kind, threads, work = sys.argv[1:]
silent = llama.llama_log_callback(lambda *_: None)
llama.llama_log_set(silent, None)
llama.llama_backend_init()
model = llama.llama_model_load_from_file(
    f"{work}/random-model/model-{kind}.gguf".encode(), llama.llama_model_default_params()
)
vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
options = llama.llama_context_default_params()
options.n_ctx = 1024
options.n_batch = options.n_ubatch = 512
options.n_threads = options.n_threads_batch = int(threads)
context = llama.llama_init_from_model(model, options)


def decode(tokens):
    kept = (llama.llama_token * len(tokens))(*tokens)  # the batch only points to it
    batch = llama.llama_batch_get_one(kept, len(tokens))
    assert llama.llama_decode(context, batch) == 0


clock = time.process_time if threads == "1" else time.perf_counter
count = 64 if mode == "generate" else 512
tokens = [place * 7919 % vocabulary for place in range(BEFORE + 64 if mode == "generate" else 512)]
seconds = float("inf")
for _ in range(REPEATS):
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    if mode == "generate":
        decode(tokens[:BEFORE])
    start = clock()
    if mode == "generate":
        for token in tokens[BEFORE:]:
            decode([token])
    else:
        decode(tokens)
    llama.llama_synchronize(context)
    seconds = min(seconds, clock() - start)
    decode(tokens[:1])
logits = np.ctypeslib.as_array(llama.llama_get_logits(context), (vocabulary,)).astype(np.float64)
logits /= np.sqrt(np.mean(logits**2))
values = [float(logits[i * (vocabulary - 1) // 15]) for i in range(16)]
print(json.dumps({"seconds": seconds, "items": count, "values": values}))
