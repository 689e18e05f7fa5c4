"""The product in WORK/vec_dot.json by ggml: `ggml_mul_mat` on one thread, which runs the type's vec_dot over the rows.

Arguments: TYPE TOKENS LAYOUT WORK. LAYOUT is `plain` (the file's bytes, as vec_dot takes them) or `repack` (ggml's own
interleaved layout where it has one). libggml comes from llama-cpp-python, or from the folder in the variable GGML_LIBRARIES.
"""
import ctypes
import json
import os
import sys
import time

import numpy as np

_kind, _tokens, layout, work = sys.argv[1:]
folder = os.environ.get("GGML_LIBRARIES")
if folder is None:
    import llama_cpp

    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
base = ctypes.CDLL(os.path.join(folder, "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
cpu = ctypes.CDLL(os.path.join(folder, "libggml-cpu.so"), mode=ctypes.RTLD_GLOBAL)


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


def function(library, name, result, *arguments):
    found = getattr(library, name)
    found.restype, found.argtypes = result, list(arguments)
    return found


pointer, number, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t
init = function(base, "ggml_init", pointer, InitParams)
new_tensor = function(base, "ggml_new_tensor_2d", pointer, pointer, ctypes.c_int, number, number)
data = function(base, "ggml_get_data", pointer, pointer)
mul_mat = function(base, "ggml_mul_mat", pointer, pointer, pointer, pointer)
new_graph = function(base, "ggml_new_graph", pointer, pointer)
build = function(base, "ggml_build_forward_expand", None, pointer, pointer)
compute = function(cpu, "ggml_graph_compute_with_ctx", ctypes.c_int, pointer, pointer, ctypes.c_int)
function(cpu, "ggml_cpu_init", None)()

case = json.load(open(f"{work}/vec_dot.json"))
rows, columns, tokens = case["rows"], case["columns"], case["tokens"]
weights = open(f"{work}/vec_dot.weights", "rb").read()
x = np.fromfile(f"{work}/vec_dot.x", dtype="<f4")

context = init(InitParams(len(weights) + 8 * tokens * (rows + 3 * columns) + (128 << 20), None, False))
if layout == "repack":
    outside = init(InitParams(1 << 20, None, True))
    w = new_tensor(outside, case["type_id"], columns, rows)
    allocate = function(base, "ggml_backend_alloc_ctx_tensors_from_buft", pointer, pointer, pointer)
    buffer_type = function(cpu, "_Z35ggml_backend_cpu_repack_buffer_typev", pointer)()
    assert allocate(outside, buffer_type), "ggml has no interleaved layout for this type"
    function(base, "ggml_backend_tensor_set", None, pointer, ctypes.c_char_p, size, size)(w, weights, 0, len(weights))
else:
    w = new_tensor(context, case["type_id"], columns, rows)
    ctypes.memmove(data(w), weights, len(weights))
activations = new_tensor(context, 0, columns, tokens)
ctypes.memmove(data(activations), x.ctypes.data, x.nbytes)
product = mul_mat(context, w, activations)
graph = new_graph(context)
build(graph, product)
compute(context, graph, 1)
times = []
for _ in range(case["repeats"]):
    start = time.process_time()
    compute(context, graph, 1)
    times.append(time.process_time() - start)
y = np.ctypeslib.as_array(ctypes.cast(data(product), ctypes.POINTER(ctypes.c_float)), (tokens * rows,))
picked = [float(y[i]) / case["size"] for i in case["picked"]]
print(json.dumps({"seconds": min(times), "items": rows * columns * tokens, "values": picked}))
