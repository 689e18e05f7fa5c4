"""The weights in WORK/encode.x by ggml's reference quantizer (`ggml_quantize_chunk`) on one thread.

Arguments: TYPE WORK. libggml comes from llama-cpp-python, or from the folder in the variable GGML_LIBRARIES. The values
are 16 sums over the bytes of equal parts: the bytes are the same when the sums are, but for a chance of 1 in 2^16 each.
"""
import ctypes
import json
import os
import sys
import time

import numpy as np

_kind, work = sys.argv[1:]
folder = os.environ.get("GGML_LIBRARIES")
if folder is None:
    import llama_cpp

    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
base = ctypes.CDLL(os.path.join(folder, "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
quantize = base.ggml_quantize_chunk
quantize.restype = ctypes.c_size_t
pointer, number = ctypes.c_void_p, ctypes.c_int64
quantize.argtypes = [ctypes.c_int, pointer, pointer, number, number, number, pointer]

case = json.load(open(f"{work}/encode.json"))
rows, columns = case["rows"], case["columns"]
x = np.fromfile(f"{work}/encode.x", dtype="<f4")
out = np.zeros(case["bytes"], dtype=np.uint8)
times = []
for _ in range(case["repeats"]):
    start = time.process_time()
    quantize(case["type_id"], x.ctypes.data, out.ctypes.data, 0, rows, columns, None)
    times.append(time.process_time() - start)
weights = np.arange(out.size, dtype=np.uint64) % 65521 + 1
products = out.astype(np.uint64) * weights
sums = [int(part.sum()) % 65521 for part in np.array_split(products, 16)]
print(json.dumps({"seconds": min(times), "items": x.nbytes, "values": sums}))
