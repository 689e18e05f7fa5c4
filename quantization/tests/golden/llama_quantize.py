"""Hashes of all tensors that llama.cpp's own quantizer writes, by model and file type, into llama_quantize.json.

Argument: the data folder. A hash goes over name, type and bytes of every tensor in the order of their names.
"""
import ctypes
import hashlib
import json
import os
import sys
import tempfile

import gguf
from llama_cpp import llama_cpp as llama

MODELS = {"shakespeare-llama-256": "model-f16.gguf", "stories260k": "stories260K-f32.gguf"}
TYPES = {
    "F32": 0, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12,
    "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30,
    "BF16": 32, "TQ1_0": 36, "TQ2_0": 37,
}


def digest(path):
    hashed = hashlib.sha256()
    for tensor in sorted(gguf.GGUFReader(path).tensors, key=lambda tensor: tensor.name):
        hashed.update(tensor.name.encode() + b"\0" + tensor.tensor_type.name.encode() + b"\0" + tensor.data.tobytes())
    return hashed.hexdigest()


def quantized(source, kind, folder):
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = kind, 1
    out = os.path.join(folder, "out.gguf")
    assert llama.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(parameters)) == 0
    return digest(out)


llama.llama_backend_init()
with tempfile.TemporaryDirectory() as folder:
    hashes = {
        model: {name: quantized(os.path.join(sys.argv[1], model, file), TYPES[name], folder) for name in sorted(TYPES)}
        for model, file in MODELS.items()
    }
json.dump(hashes, open(os.path.join(os.path.dirname(__file__), "llama_quantize.json"), "w"), indent=1)
