"""Names and shapes of ViT-B/32 in the layouts of open_clip and transformers, without weights."""
import json, sys
import open_clip, torch
from transformers import CLIPConfig, CLIPModel

with torch.device("meta"):
    config = open_clip.get_model_config("ViT-B-32-quickgelu")
    plain = open_clip.model.CLIP(**config)
    hub = CLIPModel(CLIPConfig(text_config=dict(hidden_size=512, intermediate_size=2048, num_attention_heads=8),
                               vision_config=dict(hidden_size=768, patch_size=32)))
shapes = lambda model: {k: list(v.shape) for k, v in model.state_dict().items()}
json.dump({"open_clip": shapes(plain), "hub": shapes(hub)}, open(sys.argv[1], "w"), separators=(",", ":"))
