"""Golden files for the containers: GGUF, safetensors, GPTQ layout, importance matrices.

    python containers.py DATA-FOLDER       (gguf 0.19.0, safetensors 0.8.0, numpy 2.4.6)

DATA-FOLDER holds `stories260k`, `shakespeare-llama-256`, `gguf-vocab`. Everything is seeded: the same packages give the same bytes.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

import gguf
import numpy as np
import safetensors.numpy

HERE = Path(__file__).parent


def sha(data):
    return hashlib.sha256(data).hexdigest()


def write_gguf():
    writer = gguf.GGUFWriter(HERE / "containers.gguf", "llama")
    writer.add_custom_alignment(64)
    writer.add_uint8("k.u8", 200)
    writer.add_int8("k.i8", -5)
    writer.add_uint16("k.u16", 60000)
    writer.add_int16("k.i16", -30000)
    writer.add_uint32("k.u32", 4000000000)
    writer.add_int32("k.i32", -2000000000)
    writer.add_float32("k.f32", 0.1)
    writer.add_bool("k.bool", True)
    writer.add_string("k.string", "日本語 and ascii")
    writer.add_uint64("k.u64", 2**63 + 1)
    writer.add_int64("k.i64", -(2**62))
    writer.add_float64("k.f64", 0.1)
    writer.add_array("k.strings", ["a", "", "▁the", "語"])
    writer.add_array("k.ints", [1, -2, 3])
    writer.add_array("k.floats", [0.5, -1.25])
    writer.add_array("k.bools", [True, False, True])
    random = np.random.default_rng(1)
    writer.add_tensor("a.weight", random.standard_normal((3, 5)).astype(np.float32))
    writer.add_tensor("b.bias", np.arange(7, dtype=np.float16))
    codes = random.integers(0, 256, (2, 34), dtype=np.uint8)
    writer.add_tensor("c.weight", codes, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def summary(path):
    reader = gguf.GGUFReader(path)
    keys = {}
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        kinds = [kind.name for kind in field.types]
        value = field.contents()
        if isinstance(value, list):
            texts = [item if isinstance(item, str) else repr(item) for item in value]
            value = {"len": len(value), "sha256": sha("\0".join(texts).encode())} if "STRING" in kinds else {"len": len(value)}
        keys[name] = {"types": kinds, "value": value}
    tensors = [
        {
            "name": tensor.name,
            "type": tensor.tensor_type.name,
            "dims": [int(size) for size in tensor.shape],
            "offset": int(tensor.data_offset - reader.data_offset),
            "bytes": int(tensor.n_bytes),
            "sha256": sha(tensor.data.tobytes()),
        }
        for tensor in reader.tensors
    ]
    return {"alignment": int(reader.alignment), "data_start": int(reader.data_offset), "keys": keys, "tensors": tensors}


def write_summary(data):
    files = [
        "stories260k/stories260K-f32.gguf",
        "shakespeare-llama-256/model-f16.gguf",
        "gguf-vocab/ggml-vocab-gpt-2.gguf",
        "gguf-vocab/ggml-vocab-bert-bge.gguf",
    ]
    out = {name: summary(data / name) for name in files}
    out["containers.gguf"] = summary(HERE / "containers.gguf")
    tensors = {}
    with safetensors.safe_open(data / "shakespeare-llama-256/model.safetensors", "numpy") as file:
        for name in file.keys():
            tensor = file.get_tensor(name)
            tensors[name] = {
                "shape": list(tensor.shape),
                "sha256": sha(tensor.tobytes()),
                "sha256_f32": sha(tensor.astype(np.float32).tobytes()),
            }
    out["shakespeare-llama-256/model.safetensors"] = tensors
    (HERE / "containers.json").write_text(json.dumps(out, ensure_ascii=False, indent=0) + "\n")


def write_safetensors():
    kinds = [np.bool_, np.uint8, np.int8, np.int16, np.uint16, np.float16, np.int32, np.uint32, np.float32, np.float64, np.int64, np.uint64]
    tensors = {f"t{place}.{np.dtype(kind).name}": np.arange(6).reshape(2, 3).astype(kind) for place, kind in enumerate(kinds)}
    tensors["again.float32"] = np.array(2.5, dtype=np.float32)
    tensors['odd "name"\n語'] = np.zeros((0, 4), dtype=np.float32)
    safetensors.numpy.save_file(tensors, HERE / "containers.safetensors", metadata={"format": "np"})


def pack(codes, bits):
    """Independent of the crate: a bit stream as one big Python integer per column."""
    rows, columns = codes.shape
    words = np.zeros((rows * bits // 32, columns), dtype=np.int64)
    for column in range(columns):
        stream = sum(int(code) << (bits * place) for place, code in enumerate(codes[:, column]))
        for word in range(words.shape[0]):
            words[word, column] = stream >> (32 * word) & 0xFFFFFFFF
    return words.astype(np.uint32).view(np.int32)


def write_gptq():
    inputs, outputs, group = 64, 32, 32
    cases = []
    for bits in (2, 3, 4, 8):
        random = np.random.default_rng(bits)
        codes = random.integers(0, 2**bits, (inputs, outputs))
        zeros = random.integers(0, 2**bits, (inputs // group, outputs))
        zeros[0, 0] = 0
        scales = (random.random((inputs // group, outputs)) * 0.1 + 0.01).astype(np.float16)
        g_idx = random.permutation(np.arange(inputs) // group).astype(np.int32)
        weights = scales.astype(np.float32)[g_idx] * (codes - zeros[g_idx]).astype(np.float32)
        cases.append(
            {
                "bits": bits,
                "codes": codes.flatten().tolist(),
                "zeros": zeros.flatten().tolist(),
                "scales": scales.view(np.uint16).flatten().tolist(),
                "g_idx": g_idx.tolist(),
                "qweight": pack(codes, bits).flatten().tolist(),
                "qzeros_v1": pack(((zeros - 1) & (2**bits - 1)).T, bits).T.flatten().tolist(),
                "qzeros_v2": pack(zeros.T, bits).T.flatten().tolist(),
                "weights_sha256": sha(np.ascontiguousarray(weights.T).astype("<f4").tobytes()),
            }
        )
    (HERE / "gptq_layout.json").write_text(json.dumps({"inputs": inputs, "outputs": outputs, "group": group, "cases": cases}) + "\n")


def write_imatrix():
    random = np.random.default_rng(9)
    plain = (random.random(8) * 100).astype(np.float32)
    experts = (random.random((2, 4)) * 10).astype(np.float32)
    writer = gguf.GGUFWriter(HERE / "imatrix.gguf", "unused")
    del writer.kv_data[0]["general.architecture"]
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["calibration.txt"])
    writer.add_uint32("imatrix.chunk_count", 3)
    writer.add_uint32("imatrix.chunk_size", 16)
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", plain[None, :])
    writer.add_tensor("blk.0.attn_q.weight.counts", np.array([[48]], dtype=np.float32))
    writer.add_tensor("blk.0.ffn_down_exps.weight.in_sum2", experts)
    writer.add_tensor("blk.0.ffn_down_exps.weight.counts", np.array([[32], [0]], dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    calls = 3
    legacy = struct.pack("<i", 1)
    name = b"blk.0.attn_q.weight"
    legacy += struct.pack("<i", len(name)) + name + struct.pack("<ii", calls, 8)
    legacy += (plain / np.float32(48) * np.float32(calls)).astype("<f4").tobytes()
    legacy += struct.pack("<i", 3) + struct.pack("<i", 15) + b"calibration.txt"
    (HERE / "imatrix.dat").write_bytes(legacy)


if __name__ == "__main__":
    write_gguf()
    write_safetensors()
    write_gptq()
    write_imatrix()
    write_summary(Path(sys.argv[1]))
