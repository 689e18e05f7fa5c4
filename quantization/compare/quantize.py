"""The model in WORK/random-model by llama.cpp's `llama_model_quantize`, from F16 GGUF (it reads no safetensors).

Arguments: TYPE THREADS WORK. The values are the number of tensors and of those that differ from ours.
"""
import ctypes
import json
import os
import sys
import time

import gguf
import numpy as np
from llama_cpp import llama_cpp as llama

TYPES = {"F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15, "TQ2_0": 37}
kind, threads, work = sys.argv[1:]
source, out = f"{work}/random-model/model-F16.gguf", f"{work}/quantize-peer.gguf"
silent = llama.llama_log_callback(lambda *_: None)
llama.llama_log_set(silent, None)
llama.llama_backend_init()
parameters = llama.llama_model_quantize_default_params()
parameters.ftype, parameters.nthread = TYPES[kind], int(threads)
with open(source, "rb") as file:
    while file.read(1 << 24):
        pass
if os.path.exists(out):
    os.remove(out)
start = time.perf_counter()
assert llama.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(parameters)) == 0
seconds = time.perf_counter() - start
status = open("/proc/self/status").read()
peak = 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
ours = {tensor.name: tensor for tensor in gguf.GGUFReader(f"{work}/quantize-ours.gguf").tensors}
peers = gguf.GGUFReader(out).tensors
equal = lambda a, b: a.tensor_type == b.tensor_type and np.array_equal(a.data, b.data)
different = sum(1 for tensor in peers if tensor.name not in ours or not equal(tensor, ours[tensor.name]))
weights = sum(int(tensor.n_elements) for tensor in peers)
print(json.dumps({"seconds": seconds, "items": weights, "values": [len(peers), different], "peak_bytes": peak}))
