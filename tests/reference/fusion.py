"""A fusion network with random weights and odd sizes, and what PyTorch computes with it.

    python fusion.py ../fixtures/fusion.safetensors
    python fusion.py ../fixtures/fusion_attention.safetensors attention

With `attention` it has a gated attention over its groups (Ilse, Tomczak and Welling, 2018, equation
9), of which some rows lack some.

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
with_attention = sys.argv[2:] == ["attention"]
mix = nn.Linear(HIDDEN * (len(WIDTHS) + with_attention), HIDDEN)
blocks = [
    (nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, 2 * HIDDEN), nn.Linear(2 * HIDDEN, HIDDEN))
    for _ in range(BLOCKS)
]
norm, last = nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, 1)
attention = [nn.Linear(HIDDEN, outputs) for outputs in (HIDDEN, HIDDEN, 1) if with_attention]

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

    for name, layer in zip(("content", "gate", "score"), attention):
        name_linear(f"attention.{name}", layer)

    rows = torch.randn(ROWS, sum(WIDTHS))
    parts = torch.split(rows, WIDTHS, dim=1)
    if with_attention:
        # The last column of the second group says itself whether a row has it.
        parts[0][3:5] = 0.0
        parts[1][4:7, :-1] = 0.0
        parts[2][4] = 0.0
    encoded = [gelu(layer(linear(x))) for (linear, layer), x in zip(encoders, parts)]
    if with_attention:
        content, gate, score = attention
        stacked = torch.stack(encoded, 1)
        scores = score(torch.tanh(content(stacked)) * torch.sigmoid(gate(stacked))).squeeze(2)
        absent = torch.zeros(ROWS, len(WIDTHS), dtype=torch.bool)
        absent[3:5, 0] = absent[4:7, 1] = absent[4, 2] = True
        # A row that lacks all of them has no mean of them.
        shares = torch.softmax(scores.masked_fill(absent, -torch.inf), 1).nan_to_num()
        encoded.append((shares.unsqueeze(2) * stacked).sum(1))
    state = mix(torch.cat(encoded, 1))
    for layer, up, down in blocks:
        state = state + down(gelu(up(layer(state))))
    tensors["rows"] = rows
    tensors["expected"] = last(norm(state)).squeeze(1)
save_file({name: tensor.detach().clone() for name, tensor in tensors.items()}, sys.argv[1])
