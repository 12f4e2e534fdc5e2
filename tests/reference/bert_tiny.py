"""A BERT with random weights and odd sizes, and what transformers computes with it.

    python bert_tiny.py ../fixtures/bert_tiny

Needs torch, transformers and safetensors.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

folder = Path(sys.argv[1])
torch.manual_seed(7)
config = BertConfig(
    vocab_size=101,
    hidden_size=30,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=50,
    max_position_embeddings=17,
    initializer_range=0.4,
    attn_implementation="eager",
)
model = BertModel(config).eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "LayerNorm" in name or name.endswith("bias"):
            parameter.add_(torch.randn_like(parameter) * 0.3)
model.save_pretrained(folder, safe_serialization=True)

expected = {}
with torch.no_grad():
    for rows, tokens in [(1, 1), (3, 7), (2, 13)]:
        ids = torch.randint(0, 101, (rows, tokens))
        expected[f"ids_{tokens}"] = ids
        expected[f"states_{tokens}"] = model(input_ids=ids).last_hidden_state
save_file(expected, folder / "expected.safetensors")
