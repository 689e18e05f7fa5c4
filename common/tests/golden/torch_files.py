"""Small files of torch.save in both formats, torch 2.11.0 (CPU): python torch_files.py writes state.pt and state_legacy.pt"""
import collections

import torch

wave = torch.arange(24, dtype=torch.float32) / 8 - 1
state = collections.OrderedDict()
state["features.0.weight"] = wave.reshape(2, 3, 2, 2)
# A part of the same storage, by columns.
state["features.0.turned"] = wave[4:16].reshape(3, 4).t()
state["features.1.running_var"] = wave[:3].half()
state["features.1.num_batches_tracked"] = torch.tensor(7)
state["classifier.weight"] = torch.nn.Parameter(wave[:4].double().reshape(1, 4))
# What a module's state_dict carries along.
state._metadata = collections.OrderedDict([("", {"version": 1}), ("features", {"version": 2})])
torch.save(state, "state.pt")
torch.save(state, "state_legacy.pt", _use_new_zipfile_serialization=False)
