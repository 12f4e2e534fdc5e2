"""Florence-2, which answers tasks."""

import torch
from PIL import Image
from tokenizers import pre_tokenizers
from transformers import (
    BartTokenizer,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)

from .captions import scatter_words, search
from .common import number_type, same_captions, store
from .contents import write_pictures

ACTIVATIONS = ["gelu", "gelu", "gelu", "relu", "gelu_new", "silu"]


def florence(draw, folder, about):
    """Of any sizes, in the library's own layout."""
    processor_words = words(draw)
    heads, decoder_heads = draw.choice([(1, 1), (2, 1), (2, 4), (3, 3), (4, 2)])
    width = heads * decoder_heads * draw.number(4, 10)
    stages = draw.randint(1, 4)
    groups = [draw.number(1, 3) for _ in range(stages)]
    vision_heads = [draw.number(1, 3) for _ in range(stages)]
    tied = draw.maybe(0.6)
    vision = {
        "depths": [draw.number(1, 2) for _ in range(stages)],
        "patch_size": [draw.choice([5, 7])] + [draw.choice([2, 3]) for _ in range(stages - 1)],
        "patch_stride": [draw.choice([3, 4])] + [2 for _ in range(stages - 1)],
        "patch_padding": [draw.choice([2, 3])] + [draw.choice([0, 1]) for _ in range(stages - 1)],
        "patch_prenorm": [draw.maybe() for _ in range(stages)],
        "embed_dim": [g * h * draw.number(2, 6) for g, h in zip(groups, vision_heads)],
        "num_heads": vision_heads,
        "num_groups": groups,
        "window_size": draw.number(2, 8),
        "projection_dim": width,
        "mlp_ratio": draw.choice([1.0, 2.5, 4.0]),
        "qkv_bias": draw.maybe(0.8),
        "activation_function": draw.choice(ACTIVATIONS),
        "max_position_embeddings": 50,
        "max_temporal_embeddings": draw.number(1, 20),
    }
    # The library takes odd widths of positions only in halves.
    vision["embed_dim"][-1] += vision["embed_dim"][-1] % 2 * vision["embed_dim"][-1]
    text = {
        "model_type": "bart",
        "vocab_size": len(processor_words),
        "d_model": width,
        "encoder_layers": draw.number(1, 3),
        "decoder_layers": draw.number(1, 3),
        "encoder_attention_heads": heads,
        "decoder_attention_heads": decoder_heads,
        "encoder_ffn_dim": draw.number(1, 60),
        "decoder_ffn_dim": draw.number(1, 60),
        "max_position_embeddings": draw.choice([900, 1100]),
        "scale_embedding": draw.maybe(0.3),
        "activation_function": draw.choice(ACTIVATIONS),
        "tie_word_embeddings": tied,
    }
    side = {"height": draw.randint(24, 80), "width": draw.randint(24, 80)}
    if draw.maybe():
        side["width"] = side["height"]
    images = CLIPImageProcessor(
        do_center_crop=False, size=side, **draw.some(resample=[2, 3], image_mean=[[0.5, 0.4, 0.3]], do_normalize=[False])
    )
    about.update(vision=vision, text=text, tied=tied, size=side)
    config = Florence2Config(
        vision_config=vision, text_config=text, image_token_id=processor_words.image_token_id, tie_word_embeddings=tied
    )
    model = Florence2ForConditionalGeneration(config).eval()
    scatter_words(model, 1.5)
    settings = search(draw, len(processor_words), 60)
    if draw.maybe():
        # As the checkpoints on the hub have it.
        settings = {"num_beams": 3, "early_stopping": True, "no_repeat_ngram_size": 3, "forced_bos_token_id": 0, **settings}
        if settings["num_beams"] == 1:
            del settings["early_stopping"]
            settings.pop("length_penalty", None)
    if settings.get("forced_eos_token_id"):
        settings["forced_eos_token_id"] = 2
    model.generation_config.update(**settings)
    about["settings"] = settings
    with torch.no_grad():
        pixels = torch.zeros(1, 3, side["height"], side["width"])
        try:
            images.image_seq_length = model.get_image_features(pixels).pooler_output.shape[1]
        except RuntimeError as error:
            about["cannot be built"] = str(error)
            return
    processor = Florence2Processor(image_processor=images, tokenizer=processor_words)
    here = folder / "checkpoint"
    dtype = number_type(draw)
    about["dtype"] = str(dtype)
    model.to(dtype).save_pretrained(here)
    processor.save_pretrained(here)
    model = Florence2ForConditionalGeneration.from_pretrained(here, dtype=torch.float32).eval()
    store(draw, here, about)

    size = (side["width"], side["height"])
    paths = write_pictures(draw, folder, draw.randint(1, 4), size, opaque=draw.maybe())
    for label, prompt, options in [
        ("as the files say", None, {}),
        ("beams", "<DETAILED_CAPTION>", {"num_beams": 3}),
        ("greedy", "<MORE_DETAILED_CAPTION>", {"num_beams": 1, "max_new_tokens": 9}),
        ("a question", "What is in it, and where?", {"max_new_tokens": draw.randint(1, 12)}),
    ]:
        if options.get("num_beams") == 1:
            options.update(early_stopping=None, length_penalty=None)
        rows = []
        for path in paths:
            # The processor leaves pictures that let something through as they are, and fails at them.
            seen = Image.open(path)
            inputs = processor(images=seen, text=prompt or "<CAPTION>", return_tensors="pt")
            ids = model.generate(**inputs, **options)[0].tolist()
            rows.append(caption(processor, ids, model.generation_config.forced_bos_token_id))
        given = {"num_beams": "--beams", "max_new_tokens": "--max-tokens"}
        arguments = [part for key, flag in given.items() if key in options for part in (flag, options[key])]
        arguments += ["--prompt", prompt] if prompt else []
        yield same_captions(label, rows, "--model", here, *arguments, "--image-file", *paths)


def words(draw):
    """A tokenizer of bytes with some pieces, and the tokens that the tasks need."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet]
    merges = ["Ġ w", "t h", "Ġ th", "Ġth e", "i n", "Ġ i", "Ġ in", "e s", "Ġ d", "a t", "h at", "W hat"]
    merges = [tuple(merge.split()) for merge in merges][: draw.randint(0, 12)]
    known += [a + b for a, b in merges]
    tokenizer = BartTokenizer(
        vocab={word: index for index, word in enumerate(known)},
        merges=merges,
        extra_special_tokens={"image_token": "<image>"},
    )
    tokenizer.add_tokens([f"<loc_{index}>" for index in range(draw.number(1, 20))], special_tokens=True)
    return tokenizer


def caption(processor, ids, forced):
    """The ids without those for the start and the end, and the words."""
    kept = ids[1 + (forced is not None) :]
    if 2 in kept:
        kept = kept[: kept.index(2)]
    return kept, processor.decode(ids, skip_special_tokens=True)
