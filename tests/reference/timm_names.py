"""What timm builds for every name that begins as those of the vision transformers computed here.

    python timm_names.py > ../fixtures/timm/names.tsv

One row per name, deprecated ones included. The family is `vit` for a plain `VisionTransformer`,
`eva` for an `Eva` called so, and `-` for all that is to be refused; then what tensors do not tell:
heads, activation, epsilon, pooling, where blocks normalise, whether the widening is gated, and
whether pictures of any size are taken; for `eva` the heads, the pooling, where blocks normalise,
and the grid to which rotary positions are stretched. Needs torch and timm.
"""

import timm
import torch
from timm.layers import GluMlp, LayerNorm, Mlp
from timm.models import _registry as registry
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva, EvaBlockPostNorm
from timm.models.vision_transformer import Attention, Block, PatchEmbed, ResPostBlock, VisionTransformer

BLOCKS = {Block: "before", ResPostBlock: "behind"}
WIDENINGS = {Mlp: "plain", GluMlp: "gated"}
ACTIVATIONS = {"GELU": "Gelu", "GELUTanh": "GeluTanh", "QuickGELU": "QuickGelu", "SiLU": "Silu"}


def epsilons(model):
    """Those of all normalisations."""
    return {module.eps for module in model.modules() if isinstance(module, LayerNorm)}


def of_vit(model):
    """The row of a plain vision transformer; `None` for another."""
    if type(model) not in (VisionTransformer, VisionTransformerDistilled) or type(model.patch_embed) is not PatchEmbed:
        return None
    block = model.blocks[0]
    if type(block) not in BLOCKS or type(block.attn) is not Attention or type(block.mlp) not in WIDENINGS:
        return None
    pool = model.attn_pool
    activation = type(block.mlp.act)
    assert pool is None or (pool.num_heads == block.attn.num_heads and type(pool.mlp.act) is activation)
    assert not model.pool_include_prefix and type(block.norm1) is LayerNorm
    (epsilon,) = epsilons(model)
    if type(block.mlp) is GluMlp:
        assert not block.mlp.gate_last
    return (
        block.attn.num_heads,
        ACTIVATIONS[activation.__name__],
        f"{epsilon:.0e}".replace("e-0", "e-"),
        model.global_pool,
        BLOCKS[type(block)],
        WIDENINGS[type(block.mlp)],
        "any" if model.dynamic_img_size else "fixed",
    )


def of_eva(model):
    """The row of an EVA."""
    assert epsilons(model) == {1e-6}
    block = model.blocks[0]
    return (
        block.attn.num_heads,
        model.global_pool,
        "behind" if isinstance(block, EvaBlockPostNorm) else "before",
        "x".join(map(str, model.rope.ref_feat_shape)) if model.rope is not None else "-",
    )


names = {name: name for name in timm.list_models()}
names |= {old: new.split(".")[0] for old, new in registry._deprecated_models.items() if new}
print("name", "family", "what tensors do not tell", sep="\t")
for name, builder in sorted(names.items()):
    if not name.startswith(("vit_", "deit", "eva_", "eva02_")):
        continue
    # Only Sapiens, which is to be refused, does not take another depth.
    depth = {} if "sapiens" in name else {"depth": 1}
    with torch.device("meta"):
        model = timm.create_model(builder, **depth)
    row = of_vit(model)
    family = "vit" if row else "-"
    if isinstance(model, Eva) and name.startswith("eva"):
        family, row = "eva", of_eva(model)
    print(name, family, *(row or ()), sep="\t")
