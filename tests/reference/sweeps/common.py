"""What all architectures of the sweep share: draws, files of weights, and how trendmill is asked."""

import json
import math
import random
import subprocess
from collections import OrderedDict

import torch
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-4
COSINE = 0.9999


class Draw(random.Random):
    """Random choices by a seed."""

    def number(self, least, most):
        """A whole number from `least` to `most`, small ones more often."""
        return min(self.randint(least, most), self.randint(least, most))

    def maybe(self, chance=0.5):
        return self.random() < chance

    def some(self, **options):
        """Each option with one of its values, or left out as often as not."""
        return {key: self.choice(values) for key, values in options.items() if self.maybe()}


class Wrong(Exception):
    """What trendmill makes is not what the library makes."""


class Trendmill:
    """The executable."""

    def __init__(self, path, device):
        self.path, self.device = path, device

    def run(self, *arguments):
        command = [self.path, "encoders", *map(str, arguments), "--device", self.device]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Wrong(f"exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def same_vectors(label, expected, folder, *arguments):
    """A check that `encoders embed` with these arguments writes `expected`, `[rows, dimension]`."""

    def check(trendmill):
        out = folder / "out.safetensors"
        trendmill.run("embed", *arguments, "--dtype", "f32", "--out", out)
        found = load_file(out)["embeddings"]
        if found.shape != expected.shape:
            raise Wrong(f"{label}: {tuple(found.shape)} instead of {tuple(expected.shape)}")
        apart = (found - expected).abs().max(dim=1).values
        bound = TOLERANCE * max(1.0, expected.abs().max().item())
        worst = apart.argmax().item()
        if not apart[worst] <= bound:
            rows = [row for row in range(len(apart)) if not apart[row] <= bound]
            raise Wrong(f"{label}: {len(rows)} of {len(apart)} rows differ, row {worst} by {apart[worst]:.2e}: {rows[:9]}")

    return check


def near_vectors(label, expected, folder, *arguments):
    """A check that the vectors of `encoders embed` point where `expected` does: pictures that are
    scaled lose a step of eight bits here and there."""

    def check(trendmill):
        out = folder / "out.safetensors"
        trendmill.run("embed", *arguments, "--dtype", "f32", "--out", out)
        found = load_file(out)["embeddings"]
        if found.shape != expected.shape:
            raise Wrong(f"{label}: {tuple(found.shape)} instead of {tuple(expected.shape)}")
        cosines = torch.nn.functional.cosine_similarity(found.double(), expected.double())
        if not cosines.min() >= COSINE:
            apart = (found - expected).abs().max()
            raise Wrong(f"{label}: cosines to {1 - cosines.min():.1e} below one, numbers {apart:.1e} apart")

    return check


def same_captions(label, expected, *arguments):
    """A check that `encoders caption` with these arguments writes these `(token ids, words)`."""

    def check(trendmill):
        lines = [json.loads(line) for line in trendmill.run("caption", *arguments).splitlines()]
        found = [(line["token_ids"], line["caption"]) for line in lines]
        for row, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
            if ours != theirs:
                raise Wrong(f"{label}, picture {row}:\n    is        {ours}\n    should be {theirs}")

    return check


def refused(label, words, *arguments):
    """A check that trendmill says no, with these words."""

    def check(trendmill):
        try:
            trendmill.run(*arguments)
        except Wrong as wrong:
            missing = [word for word in words if word not in str(wrong)]
            if missing or "exit 2" not in str(wrong):
                raise Wrong(f"{label}: {wrong} (without {missing})") from wrong
        else:
            raise Wrong(f"{label}: is not refused")

    return check


def scatter(module, draw, spread=1.0):
    """Random weights that keep numbers at a size of about one and make rows differ."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn_like(parameter)
            if parameter.dim() < 2:
                is_factor = name.endswith("weight") or "gamma" in name
                parameter.copy_(float(is_factor) + 0.2 * noise)
            elif "embed" in name and parameter.dim() < 4 or "token" in name:
                parameter.copy_(noise * draw.uniform(0.3, 1.2))
            else:
                parameter.copy_(noise * spread / math.sqrt(parameter[0].numel()))


def number_type(draw):
    """The number type of a file."""
    return draw.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16])


def store(draw, folder, about):
    """The weights that `save_pretrained` wrote, left as they are or written in another way.

    Call it when the library has done its part: it need not read all of these.
    """
    names = sorted(folder.glob("*.safetensors"))
    kind = about["files"] = draw.choice(["as written", "as written", "shards", "zip", "zip shards", "legacy"])
    if kind == "as written" or len(names) != 1:
        about["files"] = "as written"
        return
    tensors = load_file(names[0])
    names[0].unlink()
    order = list(tensors)
    draw.shuffle(order)
    if kind == "zip":
        torch.save(state_dict(tensors, order), folder / "pytorch_model.bin")
    elif kind == "legacy":
        torch.save(state_dict(tensors, order), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    else:
        count = draw.randint(2, 4)
        stem, ending = ("model", "safetensors") if kind == "shards" else ("pytorch_model", "bin")
        places = {}
        for piece in range(count):
            own = {name: tensors[name] for name in order[piece::count]}
            name = f"{stem}-{piece + 1:05}-of-{count:05}.{ending}"
            if own and kind == "shards":
                save_file(own, folder / name, metadata={"format": "pt"})
            elif own:
                torch.save(own, folder / name)
            places.update(dict.fromkeys(own, name))
        size = sum(tensor.nbytes for tensor in tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": places}
        (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index))


def state_dict(tensors, order):
    """A state dict in this order, with an attribute as torch's own has one."""
    state = OrderedDict((name, tensors[name]) for name in order)
    state._metadata = OrderedDict({"": {"version": 1}})
    return state
