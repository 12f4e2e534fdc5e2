"""Image encoders of timm with random weights and odd sizes, and what timm computes with them.

    python timm_models.py ../fixtures/timm

Writes the pictures, one folder per checkpoint as `save_for_hf` makes it, and in each the features
of the pictures through the checkpoint's own transform. Needs torch, torchvision, timm, numpy,
safetensors, and pillow before 13: from there on the order of its two passes depends on the
picture's shape, which moves single pixels by up to four steps of eight bits.
"""

import sys
from pathlib import Path

import numpy
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.models._hub import save_for_hf
from timm.models.efficientnet import _gen_efficientnet_lite as narrow_lite

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)

# Broad waves, which compress, and some edges, which the filters must treat alike.
for name, (width, height) in {"wide": (149, 61), "tall": (37, 120), "small": (19, 23)}.items():
    y, x = numpy.mgrid[0:height, 0:width]
    waves = [numpy.sin(x / (3 + c) + y / (7 - c)) * 90 + 128 + 60 * ((x // 9 + y // 7) % 2) for c in range(3)]
    picture = numpy.clip(numpy.stack(waves, axis=2), 0, 255).astype("uint8")
    Image.fromarray(picture).save(folder / f"{name}.png", optimize=True)
PICTURES = ["wide", "tall", "small"]

# name → architecture, what it is built with, what it wants to see
MODELS = {
    "vit": (
        "vit_tiny_patch16_224",
        {"img_size": 40, "patch_size": 8, "embed_dim": 36, "depth": 2, "num_heads": 3},
        {"crop_pct": 0.9},
    ),
    "vit_half": (
        "vit_small_patch16_224",
        {"img_size": 36, "patch_size": 12, "embed_dim": 24, "depth": 1, "num_heads": 2},
        {"crop_pct": 1.0, "interpolation": "bilinear"},
    ),
    "vit_mean": (
        "vit_base_patch16_224",
        {
            "img_size": (24, 40),
            "patch_size": 8,
            "embed_dim": 32,
            "depth": 3,
            "num_heads": 4,
            "mlp_ratio": 2.5,
            "global_pool": "avg",
            "init_values": 0.5,
            "reg_tokens": 3,
            "no_embed_class": True,
            "qkv_bias": False,
            "qk_norm": True,
        },
        {"input_size": (3, 24, 40), "crop_mode": "squash", "crop_pct": 1.0},
    ),
    "vit_clip": (
        "vit_base_patch16_clip_quickgelu_224",
        {"img_size": 32, "patch_size": 16, "embed_dim": 20, "depth": 2, "num_heads": 5},
        {"crop_mode": "border", "crop_pct": 0.95},
    ),
    "vit_behind": (
        "vit_base_patch16_rpn_224",
        {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 4},
        {"crop_pct": 0.95},
    ),
    "vit_distilled": (
        "deit_tiny_distilled_patch16_224",
        {"img_size": (16, 24), "patch_size": 8, "embed_dim": 12, "depth": 1},
        {"crop_pct": 1.0},
    ),
    "resnet": (
        "resnet18",
        {"layers": (1, 2, 1, 1), "channels": (6, 10, 8, 12)},
        {"input_size": (3, 45, 45), "crop_pct": 0.95, "interpolation": "bilinear"},
    ),
    "resnext": (
        "resnext50_32x4d",
        {"layers": (1, 1, 1, 1), "channels": (4, 6, 5, 7), "cardinality": 3, "base_width": 16},
        {"input_size": (3, 40, 56), "crop_pct": 0.875},
    ),
    "eva_tiny": (
        "eva02_tiny_patch14_224",
        {"img_size": 35, "patch_size": 7, "embed_dim": 24, "depth": 2, "num_heads": 2},
        {"crop_pct": 1.0, "crop_mode": "squash"},
    ),
    "eva_base": (
        "eva02_base_patch14_448",
        {"img_size": (24, 40), "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 4},
        {"crop_pct": 0.9},
    ),
    "eva_clip": (
        "eva02_large_patch14_clip_224",
        {"img_size": 36, "patch_size": 9, "embed_dim": 24, "depth": 2, "num_heads": 3, "ref_feat_shape": 6},
        {"crop_pct": 1.0},
    ),
    "eva_post": (
        "eva02_enormous_patch14_clip_224",
        {"img_size": 30, "patch_size": 10, "embed_dim": 20, "depth": 2, "num_heads": 5, "mlp_ratio": 2.3},
        {"crop_pct": 1.0},
    ),
    "eva_options": (
        "eva02_small_patch14_224",
        {
            "img_size": (24, 32),
            "patch_size": 8,
            "embed_dim": 32,
            "depth": 2,
            "num_heads": 2,
            "qkv_bias": False,
            "qk_norm": True,
            "init_values": 0.5,
            "swiglu_align_to": 8,
            "num_reg_tokens": 2,
            "no_embed_class": True,
            "use_abs_pos_emb": False,
            "rope_grid_offset": 0.25,
            "rope_grid_indexing": "xy",
            "rope_temperature": 50.0,
            "rope_rotate_half": True,
            "ref_feat_shape": None,
            "use_pre_transformer_norm": True,
            "global_pool": "avgmax",
        },
        {"crop_pct": 1.0},
    ),
    "lite_half": ("efficientnet_lite1", {}, {"input_size": (3, 45, 39), "interpolation": "bilinear"}),
    "lite_tf_half": ("tf_efficientnet_lite0", {}, {"input_size": (3, 41, 41)}),
}
# These take no widths, so that a narrow one is built by what builds them.
NARROW = {
    "lite_half": lambda name: narrow_lite(name, channel_multiplier=0.05, depth_multiplier=1.1, num_classes=7),
    "lite_tf_half": lambda name: narrow_lite(
        name, channel_multiplier=0.05, num_classes=7, pad_type="same", bn_eps=1e-3
    ),
}


for name, (architecture, arguments, wanted) in MODELS.items():
    torch.manual_seed(11)
    if name in NARROW:
        model = NARROW[name](architecture).eval()
    else:
        model = timm.create_model(architecture, num_classes=7, **arguments).eval()
    with torch.no_grad():
        for _, parameter in model.named_parameters():
            # Without this the numbers of a network that normalises nothing by itself would grow.
            spread = (3 / parameter[0].numel()) ** 0.5 if parameter.dim() == 4 else 0.3
            parameter.copy_(torch.randn_like(parameter) * spread)
        kept = model.state_dict()
        for buffer_name, buffer in model.named_buffers():
            # What is not kept is computed: positions, and the biases that keys do not have.
            if buffer_name in kept and buffer.is_floating_point():
                buffer.copy_(torch.rand_like(buffer) + 0.5)
    if name.endswith("half"):
        model.half()
    side = arguments.get("img_size", wanted.get("input_size", (3, 0, 0))[1:])
    side = (side, side) if isinstance(side, int) else side
    wanted = {"input_size": (3, *side), **wanted}
    model.pretrained_cfg.update(wanted)
    here = folder / name
    save_for_hf(model, here, safe_serialization=True)

    model.float()
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model.pretrained_cfg), is_training=False)
    features = []
    seen = []
    with torch.no_grad():
        for picture in PICTURES:
            pixels = transform(Image.open(folder / f"{picture}.png").convert("RGB"))
            seen.append(pixels)
            hidden = model.forward_features(pixels.unsqueeze(0))
            features.append(model.forward_head(hidden, pre_logits=True)[0])
    save_file(
        {"features": torch.stack(features), "pixels": torch.stack(seen)},
        here / "expected.safetensors",
    )
    print(name, tuple(features[0].shape), float(torch.stack(features).abs().max()))
