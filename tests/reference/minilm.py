"""Vectors of all-MiniLM-L6-v2 by sentence-transformers, for tests/fixtures/minilm.json.

    python minilm.py FOLDER > ../fixtures/minilm.json

FOLDER holds the checkpoint in its hub layout. Needs torch and sentence-transformers.
"""

import json
import sys

from sentence_transformers import SentenceTransformer

TEXTS = [
    "That is a happy person",
    "That is a happy dog",
    "That is a very happy person",
    "Today is a sunny day",
    "",
    "a",
    "My cat, asleep on the radiator [OC] 😺",
    "Ünïcode, naïve café: 東京の夜 — ça va?",
    "word " * 400,
]

model = SentenceTransformer(sys.argv[1], device="cpu")
vectors = model.encode(TEXTS, batch_size=1)
json.dump(
    [
        {
            "text": text,
            "norm": float((vector.astype("float64") ** 2).sum() ** 0.5),
            "values": [round(float(v), 7) for v in vector[:8]],
        }
        for text, vector in zip(TEXTS, vectors)
    ],
    sys.stdout,
    ensure_ascii=False,
)
