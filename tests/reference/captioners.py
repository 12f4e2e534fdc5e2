"""Captioners with random weights and odd sizes, and what transformers computes with them.

    python captioners.py ../fixtures/captioners

Writes one folder per checkpoint as `save_pretrained` of the model and of the processor make it, and
in each `expected.safetensors`: what the processor and the network make of the pictures of
`../fixtures/timm`, and `expected.json`: the ids and words that `generate` makes of them. Needs
torch, torchvision, transformers 5, safetensors and pillow.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from transformers import (
    BartTokenizer,
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)

folder = Path(sys.argv[1])
PICTURES = ["wide", "tall", "small"]
pictures = [Image.open(folder.parent / "timm" / f"{name}.png").convert("RGB") for name in PICTURES]


def scatter(model, spread):
    """Random weights with which captions vary: those of the library make every token alike."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
                parameter.copy_(centre + 0.2 * torch.randn_like(parameter))
            elif "word_embeddings" in name or "shared" in name:
                parameter.copy_(0.35 * torch.randn_like(parameter))
            elif "embed" in name and parameter.dim() < 4:
                parameter.copy_(2.5 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) * spread / parameter[0].numel() ** 0.5)


# What a file of settings can ask for.
SEARCHES = [
    {"repetition_penalty": 1.7},
    {"no_repeat_ngram_size": 1, "max_length": 12},
    {"no_repeat_ngram_size": 2, "num_beams": 4},
    {"min_length": 9, "num_beams": 2},
    {"min_new_tokens": 5, "max_new_tokens": 8, "forced_eos_token_id": 3},
    {"forced_bos_token_id": 7, "forced_eos_token_id": 3, "num_beams": 3, "max_length": 7},
    {"suppress_tokens": [115, 53], "begin_suppress_tokens": [47, 60]},
    {"num_beams": 3, "early_stopping": True},
    {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0},
    {"num_beams": 5, "early_stopping": True, "length_penalty": 0.3, "repetition_penalty": 1.2},
    {"num_beams": 4, "length_penalty": -1.5},
    {"num_beams": 2, "length_penalty": 0.0, "max_length": 9},
    {"num_beams": 3, "eos_token_id": [3, 56, 60]},
]


def write(here, tensors, found):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, here / "expected.safetensors")
    (here / "expected.json").write_text(json.dumps(found) + "\n")
    for name, rows in found.items():
        print(here.name, name, *(rows["rows"] if "rows" in rows else (row["ids"] for row in rows)), sep="\n  ")


def generated(model, processor, text, **options):
    """The whole rows that `generate` makes of each picture by itself, and their words."""
    rows = []
    for picture in pictures:
        inputs = processor(images=picture, text=text, return_tensors="pt")
        ids = model.generate(**inputs, **options)[0]
        rows.append({"ids": ids.tolist(), "text": processor.decode(ids, skip_special_tokens=True)})
    return rows


def blip(name, seed, text, vision, size, last, half=False, tied=True):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "picture", "of", ".", ",", "'", "s", "##s", "##ing"]
    words += [f"w{index}" for index in range(text["vocab_size"] - len(words) - 1)] + ["[DEC]"]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    processor = BlipProcessor(BlipImageProcessor(**size), tokenizer)
    text = {"bos_token_id": len(words) - 1, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0, "tie_word_embeddings": tied, **text}
    torch.manual_seed(seed)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)).eval()
    scatter(model, 2.3)
    with torch.no_grad():
        # Some captions end by themselves, some do not.
        model.text_decoder.cls.predictions.decoder.bias[3] += last
    here = folder / name
    if half:
        model.half()
    model.save_pretrained(here)
    processor.save_pretrained(here)
    model.float()

    tensors = {}
    with torch.no_grad():
        pixels = torch.cat([processor(images=picture, return_tensors="pt").pixel_values for picture in pictures])
        tensors["pixels"] = pixels
        # In 64 bits: the differences are those of the other side alone.
        model.double()
        tensors["seen"] = model.vision_model(pixels.double()).last_hidden_state.float()
        ids = torch.randint(5, text["vocab_size"], (len(pictures), 9))
        tensors["ids"] = ids
        tensors["logits"] = model(pixels.double(), input_ids=ids).logits.float()
        model.float()
        found = {
            "greedy": generated(model, processor, None),
            "prompt": generated(model, processor, "a picture of"),
            "short": generated(model, processor, None, max_new_tokens=4),
            "beams": generated(model, processor, None, num_beams=3),
            "prompt_beams": generated(model, processor, "a picture of", num_beams=3, max_new_tokens=12),
        }
        for index, search in enumerate(SEARCHES):
            found[f"search_{index}"] = {"settings": search, "rows": searched(model, pixels, search)}
    write(here, tensors, found)


def searched(model, pixels, search):
    """What the decoder finds: the model itself leaves it no choice of the last token."""
    rows = []
    for picture in pixels:
        seen = model.vision_model(picture[None]).last_hidden_state
        config = model.config.text_config
        ids = model.text_decoder.generate(
            input_ids=torch.tensor([[config.bos_token_id]]),
            pad_token_id=config.pad_token_id,
            encoder_hidden_states=seen,
            **{"eos_token_id": config.sep_token_id, **search},
        )
        rows.append(ids[0].tolist())
    return rows


TEXT = {
    "vocab_size": 121,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 50,
    "max_position_embeddings": 40,
}
VISION = {
    "hidden_size": 30,
    "num_hidden_layers": 2,
    "num_attention_heads": 5,
    "intermediate_size": 44,
    "image_size": 40,
    "patch_size": 8,
}
blip("blip", 6, TEXT, VISION, {"size": {"height": 40, "width": 40}}, 2.0)
blip(
    "blip_half",
    6,
    {**TEXT, "num_hidden_layers": 1, "hidden_size": 24, "num_attention_heads": 2, "max_position_embeddings": 16},
    {**VISION, "image_size": 24, "patch_size": 12, "num_hidden_layers": 1, "hidden_act": "quick_gelu"},
    {"size": {"height": 24, "width": 24}, "resample": 2, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.3, 0.2, 0.25]},
    3.0,
    half=True,
    tied=False,
)


def florence(name, seed, text, vision, size, settings, spread, half=False, tied=True):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet]
    merges = ["Ġ w", "t h", "Ġ th", "Ġth e", "i n", "Ġ i", "Ġ in", "e s", "Ġ d", "a t", "h at", "W hat"]
    merges = [tuple(merge.split()) for merge in merges]
    words += [a + b for a, b in merges]
    tokenizer = BartTokenizer(
        vocab={word: index for index, word in enumerate(words)},
        merges=merges,
        extra_special_tokens={"image_token": "<image>"},
    )
    tokenizer.add_tokens(["<loc_0>", "<loc_1>"], special_tokens=True)
    images = CLIPImageProcessor(do_center_crop=False, **size)
    torch.manual_seed(seed)
    text = {"model_type": "bart", "vocab_size": len(tokenizer), "tie_word_embeddings": tied, **text}
    config = Florence2Config(
        vision_config=vision, text_config=text, image_token_id=tokenizer.image_token_id, tie_word_embeddings=tied
    )
    model = Florence2ForConditionalGeneration(config).eval()
    scatter(model, spread)
    model.generation_config.update(**settings)
    pixels = torch.zeros(1, 3, images.size["height"], images.size["width"])
    images.image_seq_length = model.get_image_features(pixels).pooler_output.shape[1]
    processor = Florence2Processor(image_processor=images, tokenizer=tokenizer)
    here = folder / name
    if half:
        model.half()
    model.save_pretrained(here)
    processor.save_pretrained(here)
    model.float()

    tensors = {}
    with torch.no_grad():
        inputs = processor(images=pictures, text=["<OCR>"] * len(pictures), return_tensors="pt")
        ids = torch.randint(5, len(tokenizer), (len(pictures), 7))
        model.double()
        outputs = model(
            input_ids=inputs.input_ids, pixel_values=inputs.pixel_values.double(), decoder_input_ids=ids
        )
        tensors["pixels"] = inputs.pixel_values
        tensors["seen"] = outputs.encoder_last_hidden_state.float()
        tensors["question"] = inputs.input_ids[0][images.image_seq_length :]
        tensors["ids"] = ids
        tensors["logits"] = outputs.logits.float()
        model.float()
        found = {
            "default": generated(model, processor, "<CAPTION>"),
            "greedy": generated(model, processor, "<DETAILED_CAPTION>", num_beams=1),
            "words": generated(model, processor, "<REGION_TO_OCR><loc_1><loc_0>", max_new_tokens=5),
            "question": generated(model, processor, "what is it?", num_beams=4, max_new_tokens=9),
        }
    write(here, tensors, found)


florence(
    "florence",
    3,
    {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 40,
        "decoder_ffn_dim": 44,
        "max_position_embeddings": 72,
    },
    {
        "depths": [1, 1, 2],
        "patch_size": [7, 3, 3],
        "patch_stride": [4, 2, 2],
        "patch_padding": [3, 1, 1],
        "patch_prenorm": [False, True, True],
        "embed_dim": [12, 18, 30],
        "num_heads": [2, 3, 5],
        "num_groups": [3, 2, 6],
        "window_size": 4,
        "projection_dim": 32,
        "max_temporal_embeddings": 7,
        "max_position_embeddings": 9,
        "mlp_ratio": 2.5,
    },
    {"size": {"height": 48, "width": 48}, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    # As the checkpoints on the hub have it.
    {
        "num_beams": 3,
        "early_stopping": True,
        "no_repeat_ngram_size": 3,
        "forced_bos_token_id": 0,
        "forced_eos_token_id": 2,
        "max_length": 24,
    },
    1.5,
)
florence(
    "florence_half",
    4,
    {
        "d_model": 20,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 5,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 28,
        "max_position_embeddings": 80,
        "scale_embedding": True,
        "activation_function": "relu",
    },
    {
        "depths": [1, 1],
        "patch_size": [5, 2],
        "patch_stride": [3, 2],
        "patch_padding": [2, 0],
        "patch_prenorm": [True, False],
        "embed_dim": [8, 14],
        "num_heads": [4, 2],
        "num_groups": [2, 7],
        "window_size": 3,
        "projection_dim": 20,
        "max_position_embeddings": 10,
        "qkv_bias": False,
    },
    {"size": {"height": 30, "width": 42}},
    {},
    1.5,
    half=True,
    tied=False,
)
