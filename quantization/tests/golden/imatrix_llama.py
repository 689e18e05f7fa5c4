"""Importance that llama.cpp's own graph sees, and whole models that it quantizes with importance, into imatrix_llama.json.

Argument: the data folder. `sums` follow llama.cpp's tools/imatrix: squared inputs of every matrix product of the blocks
over whole chunks of text, all positions scored. Keys, values and weights are in 32 bits, so that only the order of sums
differs. `hashes` go over name, type and bytes of every tensor in the order of their names; there importance is a formula of
the tensor's name and the column, see `formula`.
"""
import ctypes
import hashlib
import json
import os
import sys
import tempfile

import gguf
import numpy as np
from llama_cpp import llama_cpp as llama

MODEL, CONTEXT, CHUNKS = "stories260k/stories260K-f32.gguf", 128, 8
TEXT = "tinystories-sample"
QUANTIZED = {"shakespeare-llama-256/model-f16.gguf": {"Q2_K": 10, "Q3_K_M": 12, "Q4_0": 2, "Q4_K_M": 15, "Q5_0": 8,
                                                       "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30}}


class Tensor(ctypes.Structure):
    """`ggml_tensor`, as far as it is read."""

    _fields_ = [
        ("type", ctypes.c_int), ("buffer", ctypes.c_void_p), ("ne", ctypes.c_int64 * 4), ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int), ("op_params", ctypes.c_int32 * 16), ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * 10), ("view_src", ctypes.c_void_p), ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p), ("name", ctypes.c_char * 64),
    ]


folder = os.path.join(os.path.dirname(llama.__file__), "lib")
base = ctypes.CDLL(os.path.join(folder, "libggml-base.so"))
base.ggml_op_desc.restype, base.ggml_op_desc.argtypes = ctypes.c_char_p, [ctypes.c_void_p]


class Collector:
    """What the callback of llama.cpp's scheduler sees."""

    def __init__(self):
        self.entries = {}
        self.callback = llama.ggml_backend_sched_eval_callback(self.see)

    def see(self, address, ask, _):
        tensor = Tensor.from_address(address)
        if base.ggml_op_desc(address) != b"MUL_MAT":
            return not ask
        weights, inputs = Tensor.from_address(tensor.src[0]), Tensor.from_address(tensor.src[1])
        name = weights.name.decode()
        if not (name.startswith("blk.") and name.endswith(".weight")):
            return not ask
        if ask:
            return True
        columns, rows = inputs.ne[0], inputs.ne[1]
        assert inputs.type == 0 and inputs.nb[1] == 4 * columns and inputs.ne[2] * inputs.ne[3] == 1
        values = np.ctypeslib.as_array(ctypes.cast(inputs.data, ctypes.POINTER(ctypes.c_float)), (rows, columns))
        sums, count = self.entries.get(name, (np.zeros(columns), 0))
        self.entries[name] = (sums + np.square(values.astype(np.float64)).sum(0), count + rows)
        return True


def load(path, collector=None, context=CONTEXT):
    parameters = llama.llama_model_default_params()
    parameters.use_extra_bufts = False
    model = llama.llama_model_load_from_file(path.encode(), parameters)
    options = llama.llama_context_default_params()
    options.n_ctx = options.n_batch = options.n_ubatch = context
    options.n_threads = options.n_threads_batch = 1
    options.type_k = options.type_v = 0
    options.flash_attn_type = 0
    if collector:
        options.cb_eval = collector.callback
    return model, llama.llama_init_from_model(model, options)


def tokenize(model, text, bos):
    vocabulary = llama.llama_model_get_vocab(model)
    tokens = (llama.llama_token * (len(text) + 8))()
    count = llama.llama_tokenize(vocabulary, text, len(text), tokens, len(tokens), bos, False)
    return list(tokens[:count]), llama.llama_vocab_bos(vocabulary), llama.llama_vocab_get_add_bos(vocabulary)


def decode(context, tokens):
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    batch = llama.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for place, token in enumerate(tokens):
        batch.token[place], batch.pos[place], batch.n_seq_id[place] = token, place, 1
        batch.seq_id[place][0], batch.logits[place] = 0, True
    assert llama.llama_decode(context, batch) == 0
    llama.llama_batch_free(batch)


def importance(path, text, context=CONTEXT, chunks=CHUNKS):
    collector = Collector()
    model, state = load(path, collector, context)
    tokens, bos, adds = tokenize(model, text, True)
    for chunk in range(chunks):
        part = tokens[chunk * context:][:context]
        assert len(part) == context
        decode(state, [bos] + part[1:] if adds else part)
    return collector.entries


def formula(name, columns):
    """(7·column + length of the name) mod 23 + 1 squared, over 64; exact in 32 bits."""
    return (np.square((7 * np.arange(columns) + len(name)) % 23 + 1) / 64).astype(np.float32)


def digest(path):
    hashed = hashlib.sha256()
    for tensor in sorted(gguf.GGUFReader(path).tensors, key=lambda tensor: tensor.name):
        hashed.update(tensor.name.encode() + b"\0" + tensor.tensor_type.name.encode() + b"\0" + tensor.data.tobytes())
    return hashed.hexdigest()


def quantize(source, kind, out, values, **options):
    """llama.cpp's quantizer with importance `values` by the tensor's name."""
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = kind, 1
    for name, value in options.items():
        setattr(parameters, name, value)
    kept = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in values.items()}
    data = (llama.llama_model_imatrix_data * (len(kept) + 1))()
    for place, (name, value) in enumerate(kept.items()):
        pointer = value.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        data[place] = llama.llama_model_imatrix_data(name.encode(), pointer, value.size)
    parameters.imatrix = data
    assert llama.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(parameters)) == 0


def by_formula(source):
    tensors = [tensor for tensor in gguf.GGUFReader(source).tensors if len(tensor.shape) == 2]
    blocks = [tensor for tensor in tensors if tensor.name.startswith("blk.")]
    return {tensor.name: formula(tensor.name, int(tensor.shape[0])) for tensor in blocks}


def main(data):
    text_folder = os.path.join(data, TEXT)
    text = open(os.path.join(text_folder, "sample.txt"), "rb").read()
    entries = importance(os.path.join(data, MODEL), text)
    sums = {
        name: {"count": count, "sum": float(values.sum()), "picked": [float(x) for x in values[:: max(1, len(values) // 4)]]}
        for name, (values, count) in sorted(entries.items())
    }
    hashes = {}
    with tempfile.TemporaryDirectory() as work:
        out = os.path.join(work, "out.gguf")
        for file, kinds in QUANTIZED.items():
            source = os.path.join(data, file)
            for name, kind in kinds.items():
                quantize(source, kind, out, by_formula(source))
                hashes[name] = digest(out)
    json.dump({"context": CONTEXT, "chunks": CHUNKS, "sums": sums, "hashes": hashes},
              open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "imatrix_llama.json"), "w"), indent=1)


if __name__ == "__main__":
    llama.llama_backend_init()
    main(sys.argv[1])
