"""Texts and pictures of many kinds."""

import numpy
from PIL import Image

LINES = [
    "a cat sat on the mat",
    "The quick brown fox jumps over 13 lazy dogs.",
    "AITA for telling my sister's boyfriend \"no\"?",
    "What is this plant? It grew overnight [OC] (3024x4032)",
    "don't, can't, won't; it's 5:30 p.m. — really?!",
    "https://example.org/a/very/long/path?query=1&other=two#end",
    "Größe, Straße, naïve café, Ångström, œuvre, İstanbul, ﬁnal",
    "e\u0301 is one letter and a\u0308 another",
    "Москва слезам не верит, и ёлка тоже",
    "我爱北京天安门，今天天气不错。",
    "東京タワーはとても高いです。カタカナ ﾊﾝｶｸ",
    "대한민국의 수도는 서울입니다",
    "مرحبا بالعالم، كيف حالك؟",
    "שלום עולם, מה שלומך היום?",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "สวัสดีชาวโลก",
    "😀😃🎉👩‍👩‍👧‍👦🏳️‍🌈",
    "🙂",
    "½ ² ℃ № ™ … ﷺ Ⅷ ㎏",
    "tab\tand  two blanks   and three",
    "zero\u200bwidth\u200djoiner \ufeffmark \u00a0hard \u2028 line",
    "control\x01\x7f characters \ufffd",
    "supercalifragilisticexpialidociousantidisestablishmentarianism",
    "x" * 150,
    "[CLS] and [SEP] and <s> and </s> and <pad> and [MASK] in a text",
    "...",
    "!?",
    "0",
    " leading and trailing ",
    "",
    " ",
    "ALL CAPITALS AND ÀÉÎÕÜ",
    "under_score-dash/slash\\back|pipe~tilde`tick^caret",
    "$5 €6 £7 ¥8 ₹9 100% #1 @you *star* a+b=c <tag>",
    "\U00020000\U0002a6d6 rare han",
    "one\rcarriage",
]


def texts(draw, long=True):
    """Texts of very different lengths in many scripts, as lines of a file."""
    found = draw.sample(LINES, draw.randint(3, len(LINES)))
    for _ in range(draw.randint(1, 12)):
        words = " ".join(draw.sample(LINES, draw.randint(1, 4))).split()
        found.append(" ".join(draw.choice(words) for _ in range(draw.number(1, 40)) if words))
    if long:
        found.append(" ".join(draw.choice(LINES) for _ in range(draw.randint(40, 120))))
    if long and draw.maybe(0.08):
        unit = draw.choice(LINES[:20])
        found.append(unit * (2**20 // len(unit.encode())))
    draw.shuffle(found)
    return found


def write_texts(draw, folder, found):
    """A file with one text a line."""
    path = folder / "texts.txt"
    path.write_bytes("\n".join(found).encode() + (b"\n" if draw.maybe() or not found[-1] else b""))
    return path


def picture(draw, size=None):
    """Waves, edges and noise of a random shape, and at times grey, with alpha, or with a palette."""
    width, height = size or (draw.number(8, 400), draw.number(8, 400))
    y, x = numpy.mgrid[0:height, 0:width]
    scales = [draw.uniform(2, 30) for _ in range(6)]
    channels = [
        128 + 80 * numpy.sin(x / scales[c] + y / scales[c + 3]) + 50 * ((x // 9 + y // 7) % 2) for c in range(3)
    ]
    noise = numpy.random.default_rng(draw.randint(0, 2**31)).normal(0, draw.choice([0, 5, 60]), (height, width, 3))
    pixels = numpy.clip(numpy.stack(channels, axis=2) + noise, 0, 255).astype("uint8")
    found = Image.fromarray(pixels)
    kind = draw.choice(["RGB"] * 5 + ["L", "RGBA", "P", "1", "LA"])
    if kind in ("RGBA", "LA"):
        found = found.convert(kind)
        found.putalpha(Image.fromarray(pixels[:, :, 1]))
    elif kind != "RGB":
        found = found.convert(kind)
    return found


def write_pictures(draw, folder, count, size=None, opaque=False):
    """Files of pictures without loss."""
    paths = []
    for index in range(count):
        found = picture(draw, size)
        if opaque:
            found = found.convert("RGB")
        ending = draw.choice(["png", "png", "webp"])
        path = folder / f"{'own size' if size else 'picture'} {index}.{ending}"
        found.save(path, **({"lossless": True, "exact": True} if path.suffix == ".webp" else {}))
        paths.append(path)
    return paths
