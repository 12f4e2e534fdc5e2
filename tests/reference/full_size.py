"""Encoders at their full sizes with random weights: what the reference libraries compute with them
beside what trendmill computes with the same files.

    python full_size.py FOLDER --trendmill ../../target/release/trendmill [--device flex]
        [--only bge-m3,vit-l,blip,visualized-bge-m3] [--visual-bge RESEARCH/visual_bge]

Writes each checkpoint as its library does (bge-m3 2.3 GB, ViT-L/16-384 1.2 GB, BLIP-base 0.9 GB,
Visualized-m3 3.5 GB; a folder that is there is used again), embeds four inputs on both sides and
prints the smallest cosine, for BLIP whether the greedy ids are equal. Ends with 1 where a cosine is
below 0.99999 or ids differ. Needs torch, torchvision, timm, transformers, tokenizers, safetensors
and pillow; `visualized-bge-m3` the folder of that name of FlagEmbedding's repository and what
`visualized_bge.py` says.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import full_size_checkpoints as checkpoints
import torch
from PIL import Image
from safetensors.torch import load_file

HERE = Path(__file__).parent
FILES = [HERE.parent / "fixtures" / "timm" / f"{name}.png" for name in ("wide", "tall", "small")]
TEXTS = [
    "w7 w81 w9000 w249",
    "w1",
    " ".join(f"w{number * 37 % 9973}" for number in range(61)),
    " ".join(f"w{number * 91 % 9967}" for number in range(700)),
]

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("folder", type=Path)
arguments.add_argument("--trendmill", required=True)
arguments.add_argument("--device", default="flex")
arguments.add_argument("--only", default="bge-m3,vit-l,blip")
arguments.add_argument("--visual-bge")
arguments = arguments.parse_args()
torch.set_grad_enabled(False)


def pictures(folder):
    """Four photographs' sizes of the small pictures, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (file, size) in enumerate(zip(FILES + FILES[:1], [(800, 600), (500, 900), (384, 384), (1203, 777)])):
        path = folder / f"{number}.png"
        Image.open(file).convert("RGB").resize(size, Image.BICUBIC).save(path)
        paths.append(path)
    return paths


def trendmill(*words):
    """What the program writes: the vectors of `embed`, the lines of `caption`."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "vectors.safetensors"
        command = [arguments.trendmill, "encoders", *map(str, words), "--device", arguments.device]
        if words[0] == "embed":
            command += ["--out", str(out)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        if words[0] == "embed":
            return load_file(out)["embeddings"]
        return [json.loads(line) for line in done.stdout.splitlines()]


def smallest_cosine(found, expected):
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return torch.nn.functional.cosine_similarity(found.double(), expected.double()).min().item()


def bge_m3(folder):
    from transformers import AutoModel, AutoTokenizer

    checkpoints.bge_m3(folder)
    model, tokens = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    expected = [model(**tokens(text, return_tensors="pt"))[0][0, 0] for text in TEXTS]
    expected = torch.nn.functional.normalize(torch.stack(expected), dim=1)
    texts = folder.parent / "texts.txt"
    texts.write_text("".join(f"{text}\n" for text in TEXTS))
    found = trendmill("embed", "--model", folder, "--text-file", texts, "--pooling", "cls", "--normalize")
    return smallest_cosine(found, expected)


def vit_l(folder):
    import timm
    from timm.models._hub import save_for_hf

    model = timm.create_model("vit_large_patch16_384.augreg_in21k_ft_in1k", pretrained=False).eval()
    if folder.exists():
        model.load_state_dict(load_file(folder / "model.safetensors"))
    else:
        save_for_hf(model, folder, model_config=model.pretrained_cfg)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    files = pictures(folder.parent / "pictures")
    seen = torch.stack([transform(Image.open(file)) for file in files])
    expected = model.forward_head(model.forward_features(seen), pre_logits=True)
    return smallest_cosine(trendmill("embed", "--model", folder, "--image-file", *files), expected)


def blip(folder):
    from transformers import BlipForConditionalGeneration, BlipProcessor

    checkpoints.blip(folder)
    model, processor = BlipForConditionalGeneration.from_pretrained(folder).eval(), BlipProcessor.from_pretrained(folder)
    files = pictures(folder.parent / "pictures")
    same = True
    lines = trendmill("caption", "--model", folder, "--image-file", *files, "--max-tokens", 20)
    special = {model.config.text_config.bos_token_id, model.config.text_config.sep_token_id, 0}
    for file, line in zip(files, lines):
        ids = model.generate(**processor(images=Image.open(file), return_tensors="pt"), max_new_tokens=20, num_beams=1)
        expected = [token for token in ids[0].tolist() if token not in special]
        same &= line["token_ids"] == expected
        print("  ", line["token_ids"], "" if line["token_ids"] == expected else f"not {expected}", flush=True)
    return 1.0 if same else 0.0


def visualized_m3(folder):
    sys.path.insert(0, arguments.visual_bge)
    from transformers import AutoTokenizer
    from visual_bge import modeling

    class Tokenizers:
        """The library asks for the slow tokenizer, whose file is not made here."""

        @staticmethod
        def from_pretrained(place, use_fast):
            return AutoTokenizer.from_pretrained(place)

    class Random(modeling.Visualized_BGE):
        def load_model(self, weights):
            """Stays as it is made."""

    modeling.AutoTokenizer = Tokenizers
    weights = folder / "Visualized_m3.pth"
    if not weights.exists():
        checkpoints.bge_m3(folder)
        (folder / "model.safetensors").unlink()
        torch.save(Random(model_name_bge=str(folder), model_weight=weights).state_dict(), weights)
    model = modeling.Visualized_BGE(model_name_bge=str(folder), model_weight=weights).eval()
    files, pairs = pictures(folder.parent / "pictures"), folder.parent / "pairs.jsonl"
    rows = [{"text": text, "image": str(file)} for text, file in zip(TEXTS, files)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    expected = torch.cat([model.encode(image=row["image"], text=row["text"]) for row in rows])
    return smallest_cosine(trendmill("embed", "--model", folder, "--pairs", pairs), expected)


MODELS = {"bge-m3": bge_m3, "vit-l": vit_l, "blip": blip, "visualized-bge-m3": visualized_m3}
good = True
for name in arguments.only.split(","):
    started = time.perf_counter()
    cosine = MODELS[name](arguments.folder / name)
    good &= cosine >= 0.99999
    print(f"{name} on {arguments.device}: smallest cosine {cosine:.9f} ({time.perf_counter() - started:.0f} s)", flush=True)
sys.exit(0 if good else 1)
