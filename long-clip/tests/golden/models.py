"""Tiny random models of the reference packages in every checkpoint layout, with their features.

usage: models.py OPENAI_CLIP_FOLDER OUT
"""
import collections, json, pathlib, sys
import torch

sys.path.insert(0, sys.argv[1])
out = pathlib.Path(sys.argv[2])
torch.manual_seed(5)

from clip.model import CLIP, VisionTransformer, convert_weights  # openai/CLIP
from safetensors.torch import save_file

ids = torch.tensor([[58, 7, 3, 9, 59, 0, 0, 0, 0, 0, 0, 0], [58, 59, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                    [58, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 59], [58, 20, 41, 59, 0, 0, 0, 0, 0, 0, 0, 0]])
images = torch.randn(3, 3, 12, 12)


def tiny(context):
    """One layer and two heads of width 4 for images, two layers of the same for texts."""
    model = CLIP(8, 12, 1, 64, 4, context, 60, 8, 2, 2)
    model.visual = VisionTransformer(12, 4, 8, 1, 2, 8)  # the class itself takes width / 64 heads
    return model.eval()


model = tiny(12)
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "ln_" in name or name.endswith("bias"):
            parameter.add_(torch.randn_like(parameter) * 0.1)


def features(model):
    with torch.no_grad():
        return {"image": model.encode_image(images).float().flatten().tolist(),
                "text": model.encode_text(ids).float().flatten().tolist()}


golden = {"images": images.flatten().tolist(), "texts": [[i for i in row.tolist()][: row.argmax() + 1] for row in ids]}
state = {k: v.clone() for k, v in model.state_dict().items()}
golden["float"] = features(model)

# OpenAI's .pt: a TorchScript archive in half precision, with three integer buffers.
half = tiny(12)
half.load_state_dict(state)
convert_weights(half)
for name, value in (("input_resolution", 12), ("context_length", 12), ("vocab_size", 60)):
    if hasattr(half, name):
        delattr(half, name)
    half.register_buffer(name, torch.tensor(value))


class Traced(torch.nn.Module):
    """The same tensors under the same names in a module that can be scripted."""

    def __init__(self, model):
        super().__init__()
        for name, child in model.named_children():
            setattr(self, name, plain(child))
        for name, p in model.named_parameters(recurse=False):
            setattr(self, name, torch.nn.Parameter(p.data))
        for name, b in model.named_buffers(recurse=False):
            self.register_buffer(name, b)

    def forward(self, x):
        return x


def plain(module):
    return Traced(module)


torch.jit.save(torch.jit.script(Traced(half)), out / "openai.pt")
rounded = tiny(12)
rounded.load_state_dict({k: v.float() for k, v in half.state_dict().items() if k in state})
golden["half"] = features(rounded)

# Long-CLIP's .pt: an OrderedDict with two position tables, merged at row 20 of 248; here with the table of 32 rows.
table = torch.randn(32, 8) * 0.05
rest = torch.randn(32, 8) * 0.05
long = collections.OrderedDict(state)
long["positional_embedding"], long["positional_embedding_res"] = table, rest
torch.save(long, out / "longclip.pt")
merged = tiny(32)
merged.load_state_dict({**state, "positional_embedding": torch.cat([table[:20], rest[20:]])})
long_ids = torch.tensor([[58] + [i % 50 for i in range(25)] + [59] + [0] * 5, [58, 3, 59] + [0] * 29])
with torch.no_grad():
    golden["long"] = {"texts": [row.tolist()[: row.argmax() + 1] for row in long_ids],
                      "text": merged.encode_text(long_ids).flatten().tolist()}

# open_clip: nested with `module.`, and safetensors.
torch.save({"epoch": 3, "name": "tiny", "state_dict": {f"module.{k}": v for k, v in state.items()},
            "optimizer": {"lr": 0.1, "betas": (0.9, 0.98), "on": True, "none": None}}, out / "nested.pt")
save_file({k: v.contiguous() for k, v in state.items()}, out / "open_clip_model.safetensors")
torch.save({"x": torch.zeros(2)}, out / "legacy.pt", _use_new_zipfile_serialization=False)

# open_clip's own class, with exact GELU and two heads.
import open_clip
from open_clip.model import CLIP as OpenClip

own = OpenClip(8, {"image_size": 12, "layers": 1, "width": 8, "head_width": 2, "patch_size": 4},
               {"context_length": 12, "vocab_size": 60, "width": 8, "heads": 2, "layers": 1}, quick_gelu=False).eval()
save_file({k: v.contiguous() for k, v in own.state_dict().items()}, out / "own.safetensors")
golden["open_clip"] = features(own)

# Hugging Face.
from transformers import CLIPConfig, CLIPModel

folder = out / "hub"
config = CLIPConfig(text_config=dict(vocab_size=60, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                     max_position_embeddings=12, hidden_act="quick_gelu", eos_token_id=59, bos_token_id=58),
                    vision_config=dict(hidden_size=8, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4, image_size=12,
                                       patch_size=4, hidden_act="quick_gelu"), projection_dim=8)
hub = CLIPModel(config).eval()
with torch.no_grad():
    for parameter in hub.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
hub.save_pretrained(folder)


def tensor(result):
    return result if torch.is_tensor(result) else result.pooler_output


with torch.no_grad():
    golden["hub"] = {"image": tensor(hub.get_image_features(pixel_values=images)).flatten().tolist(),
                     "text": tensor(hub.get_text_features(input_ids=ids)).flatten().tolist()}
rounded = lambda value: [float(f"{v:.7g}") for v in value] if value and isinstance(value[0], float) else value
golden = {k: ({n: rounded(v) for n, v in value.items()} if isinstance(value, dict) else rounded(value)) for k, value in golden.items()}
(out / "models.json").write_text(json.dumps(golden) + "\n")
