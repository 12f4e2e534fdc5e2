"""BLIP, which writes captions."""

import json

import torch
from PIL import Image
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

from .captions import asked, scatter_words, search
from .common import number_type, same_captions, store
from .contents import write_pictures

ACTIVATIONS = ["gelu", "gelu", "gelu", "gelu_new", "quick_gelu", "relu", "silu"]


def blip(draw, folder, about):
    """Of any sizes, with what `generation_config.json` can ask for."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "picture", "of", ".", ",", "'", "s", "##s", "##ing"]
    words += [f"w{index}" for index in range(draw.number(20, 200))] + ["[DEC]"]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    patch = draw.choice([4, 7, 8, 16])
    side = patch * draw.number(1, 5)
    heads, text_heads = draw.number(1, 5), draw.number(1, 5)
    vision = {
        "hidden_size": heads * draw.number(1, 12),
        "num_hidden_layers": draw.number(1, 4),
        "num_attention_heads": heads,
        "intermediate_size": draw.number(1, 90),
        "image_size": side,
        "patch_size": patch,
        "hidden_act": draw.choice(ACTIVATIONS),
        "layer_norm_eps": draw.choice([1e-5, 1e-6]),
    }
    tied = draw.maybe(0.6)
    text = {
        "vocab_size": len(words),
        "hidden_size": text_heads * draw.number(2, 12),
        "num_hidden_layers": draw.number(1, 4),
        "num_attention_heads": text_heads,
        "intermediate_size": draw.number(1, 90),
        "max_position_embeddings": draw.choice([12, 40, 90]),
        "hidden_act": draw.choice(ACTIVATIONS),
        "bos_token_id": len(words) - 1,
        "sep_token_id": 3,
        "eos_token_id": 3,
        "pad_token_id": 0,
        "tie_word_embeddings": tied,
    }
    about.update(vision=vision, text=text, tied=tied)
    model = BlipForConditionalGeneration(
        BlipConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied, projection_dim=draw.number(1, 30))
    ).eval()
    scatter_words(model, 2.3)
    with torch.no_grad():
        # Some captions end by themselves, some do not.
        model.text_decoder.cls.predictions.decoder.bias[3] += draw.uniform(0, 4)
    room = text["max_position_embeddings"]
    settings = search(draw, len(words), room - 1)
    model.generation_config.update(**settings)
    about["settings"] = settings
    images = BlipImageProcessor(
        size={"height": side, "width": side},
        **draw.some(
            resample=[2, 3],
            image_mean=[[0.5, 0.4, 0.3]],
            image_std=[[0.3, 0.2, 0.25]],
            do_normalize=[True, False],
            rescale_factor=[1 / 127.5, 1 / 255],
        ),
    )
    here = folder / "checkpoint"
    dtype = number_type(draw)
    about["dtype"] = str(dtype)
    model.to(dtype).save_pretrained(here)
    BlipProcessor(images, tokenizer).save_pretrained(here)
    if draw.maybe(0.3):
        apart(here)
        about["processor"] = "apart"
    model = BlipForConditionalGeneration.from_pretrained(here, dtype=torch.float32).eval()
    processor = BlipProcessor.from_pretrained(here)
    store(draw, here, about)

    # Of their own size, so that the network alone can differ.
    paths = write_pictures(draw, folder, draw.randint(1, 5), (side, side), opaque=draw.maybe())
    for label, prompt, options in asked(draw, ["a picture of", "A w3, w5's", "w1"], room):
        rows = []
        try:
            for path in paths:
                inputs = processor(images=Image.open(path), text=prompt, return_tensors="pt")
                ids = model.generate(**inputs, **options)[0].tolist()
                rows.append(caption(processor, ids))
        except IndexError:
            # The library goes on behind the last position; captions end there.
            continue
        arguments = [part for key, value in options.items() for part in (FLAGS[key], value)]
        arguments += ["--prompt", prompt] if prompt else []
        yield same_captions(label, rows, "--model", here, *arguments, "--image-file", *paths)


FLAGS = {"num_beams": "--beams", "max_new_tokens": "--max-tokens"}


def caption(processor, ids):
    """The ids without those for the start and the end, and the words."""
    kept = ids[1:]
    if 3 in kept:
        kept = kept[: kept.index(3)]
    return kept, processor.decode(ids, skip_special_tokens=True)


def apart(here):
    """The settings of pictures in a file of their own, as before the library's fifth version."""
    path = here / "processor_config.json"
    images = json.loads(path.read_text())["image_processor"]
    (here / "preprocessor_config.json").write_text(json.dumps(images))
    path.unlink()
