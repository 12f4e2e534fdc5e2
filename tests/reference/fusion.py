"""A fusion network with random weights and odd sizes, and what PyTorch computes with it.

    python fusion.py ../fixtures/fusion.safetensors

Needs torch and safetensors.
"""

import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import gelu

torch.manual_seed(11)
WIDTHS, HIDDEN, BLOCKS, ROWS = [3, 7, 1], 5, 2, 9

encoders = [(nn.Linear(width, HIDDEN), nn.LayerNorm(HIDDEN)) for width in WIDTHS]
mix = nn.Linear(HIDDEN * len(WIDTHS), HIDDEN)
blocks = [
    (nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, 2 * HIDDEN), nn.Linear(2 * HIDDEN, HIDDEN))
    for _ in range(BLOCKS)
]
norm, last = nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, 1)

tensors = {}


def name_linear(name, layer):
    tensors[f"{name}.weight"] = layer.weight.T.contiguous()
    tensors[f"{name}.bias"] = layer.bias


def name_norm(name, layer):
    nn.init.normal_(layer.weight, 1.0, 0.3)
    nn.init.normal_(layer.bias, 0.0, 0.3)
    tensors[f"{name}.gamma"] = layer.weight
    tensors[f"{name}.beta"] = layer.bias


with torch.no_grad():
    for at, (linear, layer) in enumerate(encoders):
        name_linear(f"encoders.{at}", linear)
        name_norm(f"encoders.{at}.norm", layer)
    name_linear("mix", mix)
    for at, (layer, up, down) in enumerate(blocks):
        name_norm(f"blocks.{at}.norm", layer)
        name_linear(f"blocks.{at}.up", up)
        name_linear(f"blocks.{at}.down", down)
    name_norm("norm", norm)
    name_linear("last", last)

    rows = torch.randn(ROWS, sum(WIDTHS))
    parts = torch.split(rows, WIDTHS, dim=1)
    state = mix(
        torch.cat([gelu(layer(linear(x))) for (linear, layer), x in zip(encoders, parts)], 1)
    )
    for layer, up, down in blocks:
        state = state + down(gelu(up(layer(state))))
    tensors["rows"] = rows
    tensors["expected"] = last(norm(state)).squeeze(1)
save_file({name: tensor.detach().clone() for name, tensor in tensors.items()}, sys.argv[1])
