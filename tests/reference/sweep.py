"""Checkpoints that nobody has seen: random sizes, random weights, and trendmill beside the library
that wrote them.

    python sweep.py --trendmill PATH --work DIR [--only ARCH,…] [--cases N] [--seed S] [--device D]
                    [--first N] [--keep] [--flagembedding FOLDER]

Each case draws an architecture's sizes, options, kind of files and contents from its seed, writes
the directory with the library itself (`save_pretrained` of transformers and sentence-transformers,
`save_for_hf` of timm, `torch.save`), computes with that library in 32 bits what it makes of the
contents, and asks `trendmill encoders embed` or `encoders caption` for the same. Vectors may differ
by 1e-4 (of the largest number, where that is above 1), captions by no token.

A case that differs is told with its seed and left in DIR; `--first` and `--cases 1` run it again.
Ends with a table of passes per architecture, and with 1 where one differed.

Needs torch, torchvision, transformers 5, timm, sentence-transformers, safetensors, tokenizers, and
pillow before 13, whose scaling is the one that is computed (`timm_models.py` says why).
`visualized` needs what `visualized_bge.py` needs, transformers before 5 among it, and with
`--flagembedding` the folder `research/visual_bge` of FlagEmbedding's repository; where that is not
given, it is left out.
"""

import argparse
import collections
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers

from sweeps import ARCHITECTURES, cases_of
from sweeps.common import Draw, Trendmill, Wrong


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--trendmill", required=True, help="the executable")
    parser.add_argument("--work", required=True, type=Path, help="a folder for the directories that are made")
    parser.add_argument("--only", help=f"some of {', '.join(ARCHITECTURES)}, with commas between")
    parser.add_argument("--cases", type=int, default=20, help="cases of each architecture")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", default="1", help="what all draws begin with")
    parser.add_argument("--device", default="flex", help="what `--device` is given")
    parser.add_argument("--keep", action="store_true", help="leave all directories, not those of faults alone")
    parser.add_argument("--flagembedding", help="the folder `research/visual_bge` of FlagEmbedding's repository")
    return parser.parse_args()


def main():
    given = arguments()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    names = given.only.split(",") if given.only else list(ARCHITECTURES)
    unknown = [name for name in names if name not in ARCHITECTURES]
    if unknown:
        sys.exit(f"`{unknown[0]}` is none of {', '.join(ARCHITECTURES)}")
    trendmill = Trendmill(given.trendmill, given.device)
    table = collections.defaultdict(collections.Counter)
    for name in names:
        if name == "visualized" and not given.flagembedding:
            print("visualized: left out, it needs `--flagembedding`")
            continue
        cases, began = cases_of(name), time.monotonic()
        for number in range(given.first, given.first + given.cases):
            seed = f"{given.seed}/{name}/{number}"
            folder = given.work / name / str(number)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            draw = Draw(seed)
            draw.flagembedding = given.flagembedding
            torch.manual_seed(draw.number(0, 2**31))
            about, count = {}, 0
            try:
                for check in cases(draw, folder, about):
                    check(trendmill)
                    count += 1
            except Wrong as wrong:
                table[name]["differ"] += 1
                print(f"{name} {number}: {wrong}\n    {about}\n    {folder}", flush=True)
            except Exception:
                table[name]["broken"] += 1
                print(f"{name} {number}: the case itself failed\n    {about}\n    {folder}", flush=True)
                traceback.print_exc()
            else:
                table[name]["same"] += 1
                table[name]["checks"] += count
                if not given.keep:
                    shutil.rmtree(folder)
        table[name]["seconds"] = round(time.monotonic() - began)
    print(f"\n{'architecture':<14} {'cases':>6} {'same':>6} {'differ':>7} {'broken':>7} {'checks':>7} {'seconds':>8}")
    for name, row in table.items():
        count = row["same"] + row["differ"] + row["broken"]
        print(
            f"{name:<14} {count:>6} {row['same']:>6} {row['differ']:>7} {row['broken']:>7} {row['checks']:>7} "
            f"{row['seconds']:>8}"
        )
    return 1 if any(row["differ"] + row["broken"] for row in table.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
