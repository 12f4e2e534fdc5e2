"""Visualized-BGE: images, texts, and images with a text.

Its own constructor knows two sizes alone, so that the parts are put together as
`visualized_bge.py` does it.
"""

import json
import sys

import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, PreTrainedTokenizerFast, XLMRobertaConfig

from .common import number_type, same_vectors
from .contents import LINES, texts, write_pictures, write_texts


def visualized(draw, folder, about):
    """On BERT or on XLM-RoBERTa, with a tower of any sizes."""
    sys.path.insert(0, draw.flagembedding)
    from visual_bge.eva_clip.model import CustomCLIP
    from visual_bge.eva_clip.transform import image_transform
    from visual_bge.modeling import Visualized_BGE

    kind = draw.choice(["m3", "base"])
    tokenizer, special = words(kind)
    heads, head = draw.number(1, 4), 4 * draw.number(1, 5)
    patch = draw.choice([7, 8, 14])
    rows, fixed = draw.number(1, 4), draw.maybe(0.2)
    vision = {
        "image_size": patch * rows,
        "patch_size": patch,
        "width": heads * head,
        "head_width": head,
        "layers": draw.number(1, 3),
        "pt_hw_seq_len": rows if fixed else draw.choice([rows, 5, 16]),
        "mlp_ratio": 2.6667,
        "eva_model_name": "eva-clip",
        "rope": True,
        "intp_freq": not fixed,
        "naiveswiglu": True,
        "subln": True,
        "patch_dropout": 0.5,
        "drop_path_rate": 0.0,
    }
    text_heads = draw.number(1, 4)
    room = rows * rows + draw.randint(4, 40)
    sizes = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": text_heads * draw.number(2, 10),
        "num_hidden_layers": draw.number(1, 3),
        "num_attention_heads": text_heads,
        "intermediate_size": draw.number(2, 60),
    }
    about.update(kind=kind, vision=vision, text=sizes, room=room)
    if kind == "m3":
        config = XLMRobertaConfig(
            **sizes, max_position_embeddings=room + 2, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1
        )
    else:
        config = BertConfig(**sizes, max_position_embeddings=room)

    model = Visualized_BGE.__new__(Visualized_BGE)
    torch.nn.Module.__init__(model)
    bge = AutoModel.from_config(config, attn_implementation="eager")
    model.bge_encoder, model.bge_embeddings, model.bge_pooler = bge.encoder, bge.embeddings, bge.pooler
    model.model_visual = CustomCLIP(12, vision, {"context_length": 5, "vocab_size": 7, "width": 8, "heads": 2, "layers": 1})
    model.visual_proj = torch.nn.Linear(vision["width"], sizes["hidden_size"])
    model.preprocess_val = image_transform(vision["image_size"], is_train=False)
    model.depth = sizes["num_hidden_layers"]
    model.normlized, model.sentence_pooling_method = True, "cls"
    model.device, model.dtype = torch.device("cpu"), torch.float32
    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    dtype = number_type(draw)
    about["dtype"] = str(dtype)
    state = {name: tensor.to(dtype) if tensor.dim() > 1 else tensor for name, tensor in model.state_dict().items()}
    here = folder / "checkpoint"
    config.save_pretrained(here)
    torch.save(state, here / f"Visualized_{kind}.pth", _use_new_zipfile_serialization=draw.maybe(0.8))
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    model.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    model.tokenizer.save_pretrained(here)

    # All fit: the library itself cuts nothing.
    longest = room - rows * rows
    found = [" ".join(text.split()[: longest - 3]) for text in texts(draw, long=False)]
    found = [text for text in found if len(model.tokenizer(text).input_ids) <= longest]
    side = (vision["image_size"], vision["image_size"])
    paths = write_pictures(draw, folder, draw.randint(1, 4), side, opaque=True)
    pixels = torch.stack([model.preprocess_val(Image.open(path)) for path in paths])
    read = lambda lines: model.tokenizer(lines, return_tensors="pt", padding=True)
    beside = [draw.choice(found + [""]) for _ in paths]
    with torch.no_grad():
        # One by one: a row of padding alone has no defined place.
        said = torch.cat([model.encode_text(read([text])) for text in found]) if found else None
        seen = model.encode_image(pixels)
        both = torch.cat([model.encode_mm(pixels[row : row + 1], read([text])) for row, text in enumerate(beside)])
    pairs = folder / "pairs.jsonl"
    lines = [{"text": text, "image": path.name} for text, path in zip(beside, paths)]
    pairs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    model_is = ("--model", here)
    yield same_vectors("pictures", seen, folder, *model_is, "--image-file", *paths)
    yield same_vectors("pairs", both, folder, *model_is, "--pairs", pairs)
    if found:
        yield same_vectors("texts", said, folder, *model_is, "--text-file", write_texts(draw, folder, found))


def words(kind):
    """A tokenizer of whole words with the special tokens of the model."""
    first, pad, last, unknown = ("<s>", "<pad>", "</s>", "<unk>") if kind == "m3" else ("[CLS]", "[PAD]", "[SEP]", "[UNK]")
    known = sorted({word for line in LINES[:8] for word in line.lower().split()})
    vocabulary = {token: index for index, token in enumerate([first, pad, last, unknown, *known])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, 0), (last, 2)]
    )
    return tokenizer, {"bos_token": first, "cls_token": first, "pad_token": pad, "eos_token": last, "sep_token": last}
