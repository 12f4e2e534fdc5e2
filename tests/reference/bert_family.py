"""Models of the BERT family with random weights and odd sizes, and what transformers computes with
them.

    python bert_family.py ../fixtures

Needs torch, transformers and safetensors.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

SIZES = {
    "vocab_size": 101,
    "hidden_size": 30,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 50,
    "initializer_range": 0.4,
    "attn_implementation": "eager",
}
# The longest row of the second has as many positions as the first: two stand for no place.
MODELS = {
    "bert_tiny": BertModel(BertConfig(max_position_embeddings=17, **SIZES)),
    "xlm_roberta_tiny": XLMRobertaModel(
        XLMRobertaConfig(
            max_position_embeddings=19, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, **SIZES
        )
    ),
}

for name, model in MODELS.items():
    folder = Path(sys.argv[1]) / name
    torch.manual_seed(7)
    model.eval()
    with torch.no_grad():
        for _, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    model.save_pretrained(folder, safe_serialization=True)

    expected = {}
    with torch.no_grad():
        for rows, tokens in [(1, 1), (3, 7), (2, 13), (1, 17)]:
            ids = torch.randint(2, 101, (rows, tokens))
            if name == "xlm_roberta_tiny" and tokens == 7:
                # A text that holds the padding token: it is seen, but has no place.
                ids[1, 3] = 1
                ids[1, 5] = 1
            expected[f"ids_{tokens}"] = ids
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            expected[f"states_{tokens}"] = states
    save_file(expected, folder / "expected.safetensors")
