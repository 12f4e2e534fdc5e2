"""Encoders beside PyTorch and ONNX Runtime, on the same inputs, in the same run.

    python benches/encoders/compare.py --trendmill target/release/trendmill --data ../shared/data
    python benches/encoders/compare.py … --card 0      # benches/gpu.sh does it and more

Every side embeds the same 1,000 titles and 200 photographs, files to vectors. The sides take turns
for some rounds and the fastest round of each counts, so that what else the machine does touches
all of them. PyTorch runs as sentence-transformers and timm users run it: sorted batches, one thread
per core (and with one thread, whichever is faster). Ratios are ours over PyTorch's f32.

On a processor: all-minilm-l6-v2 (its real weights) and vit_base_patch16_224 (random weights, which
take the same time). With `--card N`: bge-m3 and vit_large_patch16_384 with random weights on that
graphics card, in bf16 on all sides, PyTorch with its fused attention, without, and compiled, with
the share of the card's matmul rate, which is measured first.

Needs torch, sentence-transformers, timm, pillow, zstandard, and onnxruntime and onnx for that side.
"""

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--trendmill", required=True, help="the program; its worker for LibTorch lies beside it")
arguments.add_argument("--data", type=Path, help="the folder with `reddit` and `photos`; without it inputs are made up")
arguments.add_argument("--work", type=Path, help="where inputs and checkpoints are made, and used again")
arguments.add_argument("--card", type=int, help="measure on the graphics card with this index")
arguments.add_argument("--only", help="models, with commas")
arguments.add_argument("--devices", default="flex,libtorch:f32,libtorch", help="our devices on a processor, with commas")
arguments.add_argument("--titles", type=int, default=1000)
arguments.add_argument("--photographs", type=int, default=200)
arguments.add_argument("--rounds", type=int, default=3)
arguments = arguments.parse_args()

import torch

torch.set_grad_enabled(False)
WORK = arguments.work or Path(tempfile.mkdtemp(prefix="trendmill-bench-"))
WORK.mkdir(parents=True, exist_ok=True)
CORES = len(os.sched_getaffinity(0))
CARD = None if arguments.card is None else f"cuda:{arguments.card}"
random.seed(7)
torch.manual_seed(7)


def titles():
    """Real titles, in an order of chance; made-up ones of the same lengths where there is no data."""
    found = []
    if arguments.data:
        import zstandard

        with open(arguments.data / "reddit/posts.ndjson.zst", "rb") as file:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(file), "utf-8")
            found = [" ".join((json.loads(line).get("title") or "").split()) for line in lines]
        found = [title for title in found if title]
        random.shuffle(found)
    words = "my cat found the sunny mountain again today after seven years of rain".split()
    while len(found) < arguments.titles:
        found.append(" ".join(random.choices(words, k=random.randint(3, 24))))
    return found[: arguments.titles]


def photographs():
    """JPEG files of the sizes that Reddit's previews have."""
    from PIL import Image

    folder = WORK / "photographs"
    files = sorted(folder.glob("*.jpg"))
    if len(files) >= arguments.photographs:
        return files[: arguments.photographs]
    folder.mkdir(exist_ok=True)
    sources = []
    if arguments.data:
        sources = [path.read_bytes() for path in sorted((arguments.data / "photos").iterdir())]
        with tarfile.open(arguments.data / "reddit/earthporn/thumbnails.tar.gz") as archive:
            members = [member for member in archive.getmembers() if member.name.endswith(".jpg")]
            sources += [archive.extractfile(member).read() for member in members[: arguments.photographs]]
    for number in range(arguments.photographs):
        if sources:
            picture = Image.open(io.BytesIO(sources[number % len(sources)])).convert("RGB")
        else:
            picture = Image.effect_noise((64, 64), 60).convert("RGB")
        size = [(1024, 768), (960, 640), (800, 1000), (1280, 853)][number % 4]
        picture.resize(size, Image.BICUBIC).save(folder / f"{number:04}.jpg", quality=88)
    return sorted(folder.glob("*.jpg"))


TITLES, PHOTOGRAPHS = titles(), photographs()
TEXT_FILE = WORK / "titles.txt"
TEXT_FILE.write_text("".join(f"{title}\n" for title in TITLES))


def ours(model, device, inputs):
    """Rows per second of `trendmill encoders bench`."""

    def measure():
        command = [arguments.trendmill, "encoders", "bench", "--model", str(model), "--device", device, *inputs]
        done = subprocess.run([*command, "--json"], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command[:8])}: {done.stderr.strip()}")
        return json.loads(done.stdout)[0]["rows_per_second"]

    return measure


def ours_on_processors(model, inputs):
    """Our side on each device that is asked for; `libtorch` alone chooses its numbers itself."""
    return {f"trendmill {device}": ours(model, device, inputs) for device in arguments.devices.split(",")}


def timed(rows, work):
    """Rows per second of a function."""

    def measure():
        started = time.perf_counter()
        work()
        if CARD:
            torch.cuda.synchronize()
        return rows / (time.perf_counter() - started)

    return measure


def threaded(measures):
    """The better of one thread and one thread per core."""

    def measure():
        rates = []
        for threads in {1, CORES}:
            torch.set_num_threads(threads)
            rates.append(measures())
        return max(rates)

    return measure


def report(title, sides, base):
    """Lets the sides take turns and prints the fastest round of each."""
    rates = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, measure in sides.items():
            rates[name].append(measure())
    best = {name: max(found) for name, found in rates.items()}
    print(f"\n{title}")
    for name, rate in best.items():
        print(f"  {name:<34} {rate:>10.2f} rows/s   {rate / best[base]:.2f} ×", flush=True)
    return best


def images_of(model, batch, device="cpu", dtype=torch.float32):
    """timm's own way from files to features."""
    import timm
    from PIL import Image

    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))

    def work():
        workers = None
        if CARD:
            from concurrent.futures import ThreadPoolExecutor

            workers = ThreadPoolExecutor(CORES)
        read = lambda file: transform(Image.open(file).convert("RGB"))
        for first in range(0, len(PHOTOGRAPHS), batch):
            files = PHOTOGRAPHS[first : first + batch]
            pictures = list(workers.map(read, files)) if workers else [read(file) for file in files]
            model(torch.stack(pictures).to(device, dtype)).float().cpu()

    return work


def onnx_text(folder):
    """ONNX Runtime on the same tokens, batches sorted by length, mean and unit length."""
    import numpy
    import onnxruntime
    from transformers import AutoModel, AutoTokenizer

    path = WORK / "minilm.onnx"
    tokens, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    if not path.exists():
        sample = tokens(["a cat", "a longer text"], padding=True, return_tensors="pt")
        names = ["input_ids", "attention_mask"]
        axes = {name: {0: "rows", 1: "tokens"} for name in [*names, "states"]}
        class Bare(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, input_ids, attention_mask):
                return self.model(input_ids=input_ids, attention_mask=attention_mask)[0]

        torch.onnx.export(Bare(), tuple(sample[name] for name in names), path, input_names=names,
                          output_names=["states"], dynamic_axes=axes, opset_version=17, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    order = sorted(TITLES, key=len)

    def work():
        for first in range(0, len(order), 32):
            batch = tokens(order[first : first + 32], padding=True, truncation=True, max_length=256, return_tensors="np")
            states = session.run(None, {name: batch[name] for name in ["input_ids", "attention_mask"]})[0]
            mask = batch["attention_mask"][:, :, None]
            vectors = (states * mask).sum(1) / mask.sum(1)
            vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)

    return work


def onnx_image(model):
    import onnxruntime
    import timm
    from PIL import Image

    path = WORK / "vit-b.onnx"
    if not path.exists():
        torch.onnx.export(model, torch.zeros(2, 3, 224, 224), path, input_names=["pixels"], output_names=["vectors"],
                          dynamic_axes={"pixels": {0: "rows"}, "vectors": {0: "rows"}}, opset_version=17, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))

    def work():
        for first in range(0, len(PHOTOGRAPHS), 8):
            files = PHOTOGRAPHS[first : first + 8]
            pictures = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
            session.run(None, {"pixels": pictures.numpy()})

    return work


def checkpoint(name, size):
    """A checkpoint of timm's with random weights."""
    import timm
    from timm.models._hub import save_for_hf

    folder = WORK / name
    model = timm.create_model(size, pretrained=False)
    if not (folder / "model.safetensors").exists():
        save_for_hf(model, folder, model_config=model.pretrained_cfg)
    return folder, timm.create_model(size, pretrained=False, num_classes=0).eval()


def minilm():
    from sentence_transformers import SentenceTransformer

    pulled = subprocess.run([arguments.trendmill, "encoders", "pull", "all-minilm-l6-v2", "--json"],
                            check=True, capture_output=True, text=True)
    folder = Path(json.loads(pulled.stdout)[0]["files"][0]).parent
    model = SentenceTransformer(str(folder), device="cpu")
    texts = ["--text-file", str(TEXT_FILE)]
    encode = timed(len(TITLES), lambda: model.encode(TITLES, batch_size=32, normalize_embeddings=True))
    sides = {
        **ours_on_processors("all-minilm-l6-v2", texts),
        "PyTorch f32": threaded(encode),
    }
    try:
        sides["ONNX Runtime f32"] = timed(len(TITLES), onnx_text(folder))
    except ImportError as error:
        print(f"without ONNX Runtime: {error}")
    return report(f"all-minilm-l6-v2, {len(TITLES)} titles, {CORES} cores", sides, "PyTorch f32")


def vit_b():
    folder, model = checkpoint("vit-b", "vit_base_patch16_224")
    files = ["--image-file", *map(str, PHOTOGRAPHS)]
    sides = {
        **ours_on_processors(folder, files),
        "PyTorch f32": threaded(timed(len(PHOTOGRAPHS), images_of(model, 8))),
    }
    try:
        sides["ONNX Runtime f32"] = timed(len(PHOTOGRAPHS), onnx_image(model))
    except ImportError as error:
        print(f"without ONNX Runtime: {error}")
    return report(f"vit_base_patch16_224, {len(PHOTOGRAPHS)} photographs, {CORES} cores", sides, "PyTorch f32")


def matmul_rate():
    """The card's rate of bf16 products in FLOP/s."""
    a, b = (torch.randn(8192, 8192, device=CARD, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(20):
        a @ b
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - started)


def on_card(title, sides, floating, rate):
    best = report(title, sides, "PyTorch bf16, SDPA")
    for name, rows in best.items():
        print(f"  {name:<34} {rows * floating / rate:>9.1%} of the matmul rate")


def bge_m3():
    from transformers import XLMRobertaConfig, XLMRobertaModel

    sys.path.insert(0, str(Path(__file__).parents[2] / "tests/reference"))
    from full_size_checkpoints import TEXT_WORDS, bge_m3 as make

    folder = WORK / "bge-m3"
    make(folder)
    rows = [" ".join(f"w{number}" for number in random.choices(range(TEXT_WORDS), k=max(1, len(title) // 6)))
            for title in TITLES]
    TEXT_FILE.write_text("".join(f"{row}\n" for row in rows))
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)
    lengths = [len(ids) for ids in tokens(rows)["input_ids"]]
    config = XLMRobertaConfig.from_pretrained(folder)
    floating = sum(24 * (24 * 1024**2 * s + 4 * 1024 * s * s) for s in lengths) / len(lengths)

    def side(implementation, compiled=False):
        model = XLMRobertaModel.from_pretrained(folder, config=config, dtype=torch.bfloat16,
                                                attn_implementation=implementation).to(CARD).eval()
        run = torch.compile(model, mode="max-autotune", dynamic=True) if compiled else model
        order = sorted(rows, key=len)

        def work():
            for first in range(0, len(order), 512):
                batch = tokens(order[first : first + 512], padding=True, return_tensors="pt").to(CARD)
                states = run(**batch)[0][:, 0]
                torch.nn.functional.normalize(states.float(), dim=1).cpu()

        work()
        return timed(len(rows), work)

    sides = {
        "trendmill": ours(folder, f"libtorch:{CARD}", ["--text-file", str(TEXT_FILE), "--rounds", "3"]),
        "PyTorch bf16, SDPA": side("sdpa"),
        "PyTorch bf16, eager": side("eager"),
        "PyTorch bf16, SDPA, compiled": side("sdpa", compiled=True),
    }
    on_card(f"bge-m3, {len(rows)} titles", sides, floating, matmul_rate())


def vit_l():
    folder, model = checkpoint("vit-l", "vit_large_patch16_384")
    import timm

    model = model.to(CARD, torch.bfloat16)
    fused = images_of(model, 128, CARD, torch.bfloat16)
    timm.layers.set_fused_attn(False)
    plain = timm.create_model("vit_large_patch16_384", num_classes=0).eval().to(CARD, torch.bfloat16)
    timm.layers.set_fused_attn(True)
    eager = images_of(plain, 128, CARD, torch.bfloat16)
    compiled = images_of(torch.compile(model, mode="max-autotune"), 128, CARD, torch.bfloat16)
    compiled()
    sides = {
        "trendmill": ours(folder, f"libtorch:{CARD}", ["--image-file", *map(str, PHOTOGRAPHS), "--rounds", "3"]),
        "PyTorch bf16, SDPA": timed(len(PHOTOGRAPHS), fused),
        "PyTorch bf16, eager": timed(len(PHOTOGRAPHS), eager),
        "PyTorch bf16, SDPA, compiled": timed(len(PHOTOGRAPHS), compiled),
    }
    on_card(f"vit_large_patch16_384, {len(PHOTOGRAPHS)} photographs", sides, 382.1e9, matmul_rate())


MODELS = {"bge-m3": bge_m3, "vit-l": vit_l} if CARD else {"minilm": minilm, "vit-b": vit_b}
for name in (arguments.only or ",".join(MODELS)).split(","):
    MODELS[name]()
