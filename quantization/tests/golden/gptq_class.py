"""Golden file for the GPTQ layout, made by AutoGPTQ's own class on the CPU.

    python gptq_class.py AUTOGPTQ-FOLDER       (AutoGPTQ @ 9f7d370, torch 2, numpy 2.4.6)

Zero-points start at 1: the class lets a zero-point of 0 borrow from its neighbours. `weights_sha256` is what the class multiplies with,
row by row of the outputs.
"""

import hashlib
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch

stand_in = types.ModuleType("transformers")  # the class asks it for one type, to compare with
stand_in.pytorch_utils = types.SimpleNamespace(Conv1D=type("Conv1D", (), {}))
sys.modules["transformers"] = stand_in
path = Path(sys.argv[1]) / "auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py"
spec = importlib.util.spec_from_file_location("qlinear", path)
qlinear = importlib.util.module_from_spec(spec)
spec.loader.exec_module(qlinear)

INPUTS, OUTPUTS, GROUP = 64, 32, 32
cases = []
for bits in (2, 3, 4, 8):
    random = np.random.default_rng(100 + bits)
    codes = random.integers(0, 2**bits, (INPUTS, OUTPUTS))
    zeros = random.integers(1, 2**bits, (INPUTS // GROUP, OUTPUTS))
    scales = (random.random((INPUTS // GROUP, OUTPUTS)) * 0.1 + 0.01).astype(np.float16)
    groups = np.arange(INPUTS) // GROUP
    linear = torch.nn.Linear(INPUTS, OUTPUTS, bias=False)
    linear.weight.data = torch.tensor((scales.astype(np.float32)[groups] * (codes - zeros[groups])).T.copy()).float()
    layer = qlinear.QuantLinear(bits, GROUP, INPUTS, OUTPUTS, False)
    step = torch.tensor(scales.astype(np.float32)).t().contiguous()
    layer.pack(linear, step, torch.tensor(zeros, dtype=torch.float32).t().contiguous(), None)
    used = []
    real, torch.matmul = torch.matmul, lambda x, weight: used.append(weight) or torch.zeros(x.shape[0], OUTPUTS)
    layer.forward(torch.eye(INPUTS))
    torch.matmul = real
    weights = np.ascontiguousarray(used[0].numpy().T)
    assert weights.dtype == np.float32 and weights.shape == (OUTPUTS, INPUTS)
    cases.append(
        {
            "bits": bits,
            "codes": codes.flatten().tolist(),
            "zeros": zeros.flatten().tolist(),
            "scales": scales.view(np.uint16).flatten().tolist(),
            "qweight": layer.qweight.flatten().tolist(),
            "qzeros": layer.qzeros.flatten().tolist(),
            "weights_sha256": hashlib.sha256(weights.tobytes()).hexdigest(),
        }
    )
out = Path(__file__).parent / "gptq_class.json"
out.write_text(json.dumps({"inputs": INPUTS, "outputs": OUTPUTS, "group": GROUP, "cases": cases}) + "\n")
