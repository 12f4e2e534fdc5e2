"""Visualized-BGE with random weights and odd sizes, and what FlagEmbedding computes with it.

    python visualized_bge.py RESEARCH/visual_bge ../fixtures/visual

`RESEARCH/visual_bge` is the folder of that name of FlagEmbedding's repository (version 1.4.0),
imported from where it lies. Writes one folder for each of both kinds, on BERT and on XLM-RoBERTa.
Needs torch, torchvision, timm, einops, ftfy, tokenizers, safetensors, transformers before 5, and
pillow before 13 (see `timm_models.py`, which made the pictures).
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, PreTrainedTokenizerFast, XLMRobertaConfig

sys.path.insert(0, sys.argv[1])
from visual_bge.eva_clip.model import CustomCLIP
from visual_bge.eva_clip.transform import image_transform
from visual_bge.modeling import Visualized_BGE

PICTURES = Path(__file__).parent.parent / "fixtures" / "timm"
WORDS = "a the cat dog house on roof sat under tree red blue sky is are very over with and of".split()

SIZES = {
    "m3": {
        "bge": XLMRobertaConfig(
            vocab_size=40,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=40,
            max_position_embeddings=36,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            pad_token_id=1,
        ),
        "vision": {"image_size": 28, "patch_size": 7, "width": 16, "head_width": 8, "layers": 2, "pt_hw_seq_len": 16},
    },
    "base": {
        "bge": BertConfig(
            vocab_size=40,
            hidden_size=18,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=26,
            max_position_embeddings=27,
        ),
        "vision": {"image_size": 30, "patch_size": 10, "width": 24, "head_width": 12, "layers": 1, "pt_hw_seq_len": 5},
    },
}
VISION = {
    "mlp_ratio": 2.6667,
    "eva_model_name": "eva-clip",
    "rope": True,
    "intp_freq": True,
    "naiveswiglu": True,
    "subln": True,
    "patch_dropout": 0.5,
    "drop_path_rate": 0.0,
}
TEXT = {"context_length": 5, "vocab_size": 7, "width": 8, "heads": 2, "layers": 1}

TEXTS = ["a cat", "the red dog sat on the roof of a very blue house", "", "sky", "under the tree and over it", "dog"]
PICTURE_NAMES = ["wide.png", "tall.png", "small.png"]


def words(kind: str) -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer of whole words with the special tokens of the model."""
    first, pad, last, unknown = ("<s>", "<pad>", "</s>", "<unk>") if kind == "m3" else ("[CLS]", "[PAD]", "[SEP]", "[UNK]")
    vocabulary = {token: index for index, token in enumerate([first, pad, last, unknown, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, 0), (last, 2)]
    )
    return tokenizer, {"bos_token": first, "cls_token": first, "pad_token": pad, "eos_token": last, "sep_token": last}


for kind, sizes in SIZES.items():
    folder = Path(sys.argv[2]) / kind
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(5)
    vision = {**VISION, **sizes["vision"]}

    # What its own constructor does, which knows two sizes alone.
    model = Visualized_BGE.__new__(Visualized_BGE)
    torch.nn.Module.__init__(model)
    bge = AutoModel.from_config(sizes["bge"], attn_implementation="eager")
    model.bge_encoder, model.bge_embeddings, model.bge_pooler = bge.encoder, bge.embeddings, bge.pooler
    model.model_visual = CustomCLIP(12, vision, TEXT)
    model.visual_proj = torch.nn.Linear(vision["width"], sizes["bge"].hidden_size)
    model.preprocess_val = image_transform(vision["image_size"], is_train=False)
    model.depth = sizes["bge"].num_hidden_layers
    model.normlized, model.sentence_pooling_method = True, "cls"
    model.device, model.dtype = torch.device("cpu"), torch.float32
    model.eval()
    with torch.no_grad():
        for _, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    state = {name: tensor.half() if kind == "base" and tensor.dim() > 1 else tensor for name, tensor in model.state_dict().items()}
    torch.save(state, folder / f"Visualized_{kind}.pth")
    model.load_state_dict(state)
    sizes["bge"].save_pretrained(folder)

    tokenizer, special = words(kind)
    tokenizer.save(str(folder / "tokenizer.json"))
    model.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)

    pixels = torch.stack([model.preprocess_val(Image.open(PICTURES / name)) for name in PICTURE_NAMES])
    paired = TEXTS[: len(PICTURE_NAMES)]
    read = lambda texts: model.tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = {
            "pixels": pixels,
            "texts": model.encode_text(read(TEXTS)),
            "pictures": model.encode_image(pixels),
            "pairs": model.encode_mm(pixels, read(paired)),
        }
        alone = [model.encode(str(PICTURES / name), text) for name, text in zip(PICTURE_NAMES, paired)]
        assert (torch.cat(alone) - expected["pairs"]).abs().max() < 1e-5
    save_file(expected, folder / "expected.safetensors")
    (folder / "texts.json").write_text(json.dumps(TEXTS, indent=2) + "\n")
    print(kind, {name: tuple(tensor.shape) for name, tensor in expected.items()})
