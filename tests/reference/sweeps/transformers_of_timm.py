"""timm's vision transformers and its EVA networks."""

import math

import timm
import torch
from PIL import Image
from timm.models._hub import save_for_hf

from .common import near_vectors, number_type, refused, same_vectors, scatter, store
from .contents import write_pictures

FILTERS = ["bicubic", "bicubic", "bilinear", "lanczos", "box", "hamming"]


def vit(draw, folder, about):
    """Of any name, most of whose sizes are given anew, as for networks that somebody trained."""
    patch = draw.choice([4, 7, 8, 14, 16, 32, (8, 16)])
    heads, head = draw.number(1, 6), draw.number(1, 16)
    architecture = draw.choice(
        [
            "vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224", "vit_large_patch16_384",
            "vit_base_patch8_224", "vit_small_patch32_384", "deit_tiny_patch16_224", "deit_base_patch16_384",
            "vit_base_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "vit_base_patch16_clip_224",
            "vit_base_patch16_clip_quickgelu_224", "vit_medium_patch16_gap_256", "vit_base_patch16_siglip_gap_224",
            "deit3_small_patch16_224", "vit_wee_patch16_reg1_gap_256", "vit_betwixt_patch16_reg1_gap_256",
            "vit_base_patch16_rpn_224", "vit_tiny_r_s16_p8_224", "vit_relpos_small_patch16_224", "flexivit_small",
            "vit_srelpos_small_patch16_224", "vit_base_patch16_xp_224", "vit_little_patch16_reg1_gap_256",
        ][: None if draw.maybe(0.15) else 16]
    )  # fmt: skip
    arguments = {
        "patch_size": patch,
        "embed_dim": heads * head,
        "depth": draw.number(1, 5),
        "num_heads": heads,
        **draw.some(
            mlp_ratio=[1, 2.0, 3.5, 4, 2.6667],
            global_pool=["token", "avg", "max", "avgmax", "map", ""],
            class_token=[True, False],
            reg_tokens=[0, 1, 4],
            no_embed_class=[True, False],
            pre_norm=[True, False],
            qkv_bias=[False],
            qk_norm=[True],
            init_values=[1e-5, 0.1],
            fc_norm=[True, False],
            final_norm=[False],
            dynamic_img_size=[True],
            proj_bias=[False],
            pos_embed=["none", "learn"],
            act_layer=["gelu", "gelu_tanh", "quick_gelu", "relu", "silu"],
        ),
    }
    arguments = {key: value for key, value in arguments.items() if key not in RARE or draw.maybe(0.25)}
    yield from of_timm(draw, folder, about, architecture, arguments, patch, "img_size")


# What few networks have, so that most cases meet at most one of them.
RARE = {"final_norm", "proj_bias", "pos_embed", "class_token", "act_layer"}


def eva(draw, folder, about):
    """EVA02 and its kin."""
    heads, head = draw.number(1, 5), 4 * draw.number(1, 6)
    patch = draw.choice([7, 8, 14, 16])
    architecture = draw.choice(
        [
            "eva02_tiny_patch14_224", "eva02_small_patch14_224", "eva02_base_patch14_448", "eva02_large_patch14_448",
            "eva02_base_patch16_clip_224", "eva02_large_patch14_clip_224", "eva02_enormous_patch14_clip_224",
        ]
    )  # fmt: skip
    arguments = {
        "patch_size": patch,
        "embed_dim": heads * head,
        "depth": draw.number(1, 4),
        "num_heads": heads,
        **draw.some(
            mlp_ratio=[2.0, 2.6667, 4],
            global_pool=["token", "avg", "max", "avgmax", "map", ""],
            qkv_bias=[False],
            qkv_fused=[True, False],
            qk_norm=[True],
            init_values=[0.1],
            num_reg_tokens=[0, 2],
            no_embed_class=[True],
            use_abs_pos_emb=[False],
            use_rot_pos_emb=[False, True],
            swiglu_mlp=[True, False],
            scale_mlp=[True, False],
            scale_attn_inner=[True, False],
            swiglu_align_to=[8],
            rope_temperature=[50.0, 10000.0],
            rope_rotate_half=[True],
            rope_grid_offset=[0.5],
            rope_grid_indexing=["xy"],
            ref_feat_shape=[None, 5],
            use_fc_norm=[True, False],
            use_post_norm=[True],
            use_pre_transformer_norm=[True],
            class_token=[True],
            dynamic_img_size=[True],
        ),
    }
    yield from of_timm(draw, folder, about, architecture, arguments, patch, "img_size")


def of_timm(draw, folder, about, architecture, arguments, patch=None, size_key=None, create=None):
    """A checkpoint of timm's, and what timm makes of pictures by the checkpoint's own transform."""
    about.update(architecture=architecture, **arguments)
    if patch:
        down, across = (patch, patch) if isinstance(patch, int) else patch
        size = (down * draw.number(1, 6), across * draw.number(1, 6))
        if draw.maybe() and down == across:
            size = (size[0], size[0])
        # Some pixels at the edge may belong to no patch.
        arguments[size_key] = size if size[0] != size[1] or draw.maybe() else size[0]
    else:
        size = (draw.randint(32, 90), draw.randint(32, 90))
        size = (size[0], size[0]) if draw.maybe() else size
    classes = draw.choice([0, 7, 1000])
    build = lambda: (create or timm.create_model)(architecture, num_classes=classes, **arguments).eval()
    try:
        model = build()
        assert all(parameter.numel() for parameter in model.parameters())
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        about["cannot be built"] = str(error)
        return
    scatter(model, draw, 1.0)
    settle(model)
    dtype = number_type(draw)
    wanted = {
        "input_size": (3, *size),
        **draw.some(
            interpolation=FILTERS,
            crop_pct=[1.0, 0.95, 0.875, 0.5],
            crop_mode=["center", "squash", "border"],
            mean=[(0.5, 0.5, 0.5), (0.3, 0.45, 0.6)],
            std=[(0.5, 0.5, 0.5), (0.21, 0.3, 0.27)],
        ),
    }
    model.pretrained_cfg.update(wanted)
    about.update(wanted, dtype=str(dtype), classes=classes)
    here = folder / "checkpoint"
    model.to(dtype)
    # The library writes down what it was given, and a caller may repeat it.
    said = draw.choice([None, arguments]) if create is None else arguments
    save_for_hf(model, here, model_args=said, safe_serialization=draw.choice([True, True, False, "both"]))
    store(draw, here, about)
    # Built anew: tables that are not kept in files have all digits again.
    half, model = model, build()
    model.load_state_dict({name: tensor.float() for name, tensor in half.state_dict().items()})
    model.pretrained_cfg.update(wanted)

    transform = timm.data.create_transform(**timm.data.resolve_data_config(model.pretrained_cfg), is_training=False)

    def seen(paths):
        rows = []
        with torch.no_grad():
            for path in paths:
                pixels = transform(Image.open(path).convert("RGB")).unsqueeze(0)
                rows.append(model.forward_head(model.forward_features(pixels), pre_logits=True)[0])
        return torch.stack(rows)

    if arguments.get("global_pool") == "":
        paths = write_pictures(draw, folder, 1)
        out = folder / "out.safetensors"
        yield refused("no pooling", ["`global_pool` is ``"], "embed", "--model", here, "--image-file", *paths, "--out", out)
        return
    # These are not scaled, so that the network alone can differ.
    scale = wanted.get("crop_pct", model.pretrained_cfg["crop_pct"])
    high, wide = (math.floor(side / scale) for side in size)
    own = write_pictures(draw, folder, draw.randint(1, 4), (wide, high))
    yield same_vectors("pictures of its size", seen(own), folder, "--model", here, "--image-file", *own)
    paths = write_pictures(draw, folder, draw.randint(1, 4))
    yield near_vectors("scaled pictures", seen(paths), folder, "--model", here, "--image-file", *paths)


def settle(model):
    """Buffers that are kept in files, as training leaves them."""
    kept = model.state_dict()
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name in kept and buffer.is_floating_point() and "freqs" not in name:
                buffer.copy_(torch.rand_like(buffer) + 0.5 if "var" in name else torch.randn_like(buffer) * 0.3)
