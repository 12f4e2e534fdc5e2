"""Weights as PyTorch writes them, in every way in which people keep them.

    python weights_files.py ../fixtures/weights

Writes small pickles of both kinds (zip and the one before PyTorch 1.6), one of them beside values
that are no tensors, some wrapped, one in pieces, and three that would run a command if they were
unpickled. Needs torch and safetensors.
"""

import io
import json
import pickle
import sys
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)

torch.manual_seed(3)
table = torch.randn(5, 6)
tensors = {
    # Neither starts at its storage's first number, nor lies row by row.
    "dense.weight": table.t()[1:4, 1:5],
    "dense.bias": table[2, :3],
    # Two names of one storage.
    "first.weight": (tied := torch.randn(4, 2)),
    "second.weight": tied,
    "half": (torch.randn(7) * 3).half(),
    "brain": (torch.randn(2, 3) * 100).bfloat16(),
    "double": torch.randn(3, dtype=torch.float64),
    "steps": torch.tensor(2**40 + 1),
}
expected = {name: tensor.float().contiguous().clone() for name, tensor in tensors.items()}
save_file(expected, folder / "expected.safetensors")

torch.save(tensors, folder / "zip.pth")
torch.save(tensors, folder / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "lr": 1e-4, "state_dict": tensors}, folder / "state_dict.pth")
torch.save(
    {"model": {"half": torch.nn.Parameter(tensors["half"])}, "classes": {1, 2}, "where": torch.device("cpu")},
    folder / "model.pt",
    _use_new_zipfile_serialization=False,
)


class Command:
    """What an attacker would put there."""

    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/trendmill-ran-a-pickle",)


torch.save({**tensors, "extra": Command()}, folder / "command.pth")
torch.save({"half": tensors["half"], "extra": Command()}, folder / "command.pt", _use_new_zipfile_serialization=False)

# The call's result is thrown away, and the call is written as protocol 4 does: by two strings.
names = [pickle.SHORT_BINUNICODE + bytes([len(word)]) + word for word in (b"builtins", b"eval", b"1 + 1")]
call = names[0] + names[1] + pickle.STACK_GLOBAL + names[2] + pickle.TUPLE1 + pickle.REDUCE + pickle.POP
buffer = io.BytesIO()
torch.save({"half": tensors["half"]}, buffer)
with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(folder / "hidden.pth", "w") as target:
    for name in source.namelist():
        content = source.read(name)
        if name.endswith("/data.pkl"):
            content = content[:2] + call + content[2:]
        target.writestr(zipfile.ZipInfo(name), content)

# In pieces, as transformers names them, in both formats.
for suffix, save in ((".safetensors", save_file), (".bin", torch.save)):
    here = folder / ("pieces" + suffix)
    here.mkdir(exist_ok=True)
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    weight_map = {}
    for piece, names in enumerate((["dense.weight", "half"], ["dense.bias", "brain"])):
        file = f"{stem}-{piece + 1:05}-of-00002{suffix}"
        save({name: tensors[name].contiguous().clone() for name in names}, here / file)
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": 0}, "weight_map": dict(sorted(weight_map.items()))}
    (here / f"{stem}{suffix}.index.json").write_text(json.dumps(index, indent=2) + "\n")
