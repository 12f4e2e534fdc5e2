"""One small picture in every kind of file that is met, and what the reference makes of each.

    python picture_formats.py ../fixtures

Writes `fixtures/pictures/`: the files, and `expected.safetensors` with the pixels that Pillow reads
(`pixels.NAME`) and the features that the checkpoints `vit` and `resnet` of `fixtures/timm` make of
them through timm's own transform (`features.vit`, `features.resnet`; a row per file, in the order
of the names). Needs torch, torchvision, timm, numpy, safetensors, and pillow before 13 as
timm_models.py does; pillow 11.3 made the files.

The reference is `ImageOps.exif_transpose(Image.open(file)).convert("RGB")`. What Pillow makes of 16
bits of grey is no picture: it takes all that is brighter than 255 of 65,535 for white. The pixels
of that file are the levels, rounded to 8 bits.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy
import timm
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

fixtures = Path(sys.argv[1])
folder = fixtures / "pictures"
folder.mkdir(parents=True, exist_ok=True)

# Odd sides, so that blocks and chroma samples reach over the edges.
WIDTH, HEIGHT = 53, 37
y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
waves = [numpy.sin(x / (3 + c) + y / (7 - c)) * 90 + 128 + 40 * ((x // 11 + y // 9) % 2) for c in range(3)]
ALL = numpy.clip(numpy.stack(waves, axis=2), 0, 255).astype("uint8")
PICTURE = Image.fromarray(ALL)
# From nothing at the left to all at the right.
ALPHA = Image.fromarray(numpy.clip((x - 5) * 6, 0, 255).astype("uint8"))
SEEN_THROUGH = PICTURE.copy()
SEEN_THROUGH.putalpha(ALPHA)
OTHER = Image.fromarray(255 - ALL)
PALETTE = PICTURE.quantize(32, dither=Image.Dither.NONE)


def save(name, image, **options):
    image.save(folder / name, **options)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def inked(levels):
    """Four inks: cyan, magenta, yellow, black."""
    return Image.merge("CMYK", [Image.fromarray(levels[..., ink]) for ink in range(4)])


def png(name, colour, bits, rows, chunks=(), interlaced=False):
    """A PNG by hand: of a kind that Pillow does not write. `rows` are those of each pass."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour, 0, 0, int(interlaced))
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    parts = [chunk(b"IHDR", head), *(chunk(*each) for each in chunks), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def jpegs():
    for name, subsampling in {"444": 0, "422": 1, "420": 2}.items():
        save(f"jpeg_{name}.jpg", PICTURE, quality=90, subsampling=subsampling)
    save("jpeg_progressive.jpg", PICTURE, quality=85, subsampling=2, progressive=True)
    save("jpeg_poor.jpg", PICTURE, quality=25, subsampling=2, optimize=True)
    save("jpeg_restarts.jpg", PICTURE, quality=90, subsampling=2, restart_marker_blocks=2)
    save("jpeg_rgb.jpg", PICTURE, quality=90, keep_rgb=True)
    save("jpeg_grey.jpg", PICTURE.convert("L"), quality=90)
    save("jpeg_grey_progressive.jpg", PICTURE.convert("L"), quality=90, progressive=True)
    # Ink: with black of its own, as a printer's separation has it. Adobe stores it inverted.
    ink = 255 - ALL
    black = ink.min(axis=2, keepdims=True) // 2
    ink = numpy.concatenate([ink - black, black], axis=2)
    save("jpeg_cmyk.jpg", inked(ink), quality=90)
    save("jpeg_cmyk_progressive.jpg", inked(ink), quality=90, progressive=True)
    # The same as brightness and two colours, which is Adobe's other way to store it: what is not
    # ink is coded as a picture is, and the file says so in the last byte of Adobe's segment.
    coded = 255 - numpy.asarray(Image.fromarray(255 - ink[..., :3]).convert("YCbCr"))
    buffer = io.BytesIO()
    inked(numpy.concatenate([coded, ink[..., 3:]], axis=2)).save(buffer, "JPEG", quality=90)
    data = bytearray(buffer.getvalue())
    data[data.index(b"Adobe") + 11] = 2
    (folder / "jpeg_ycck.jpg").write_bytes(data)
    for orientation in range(2, 9):
        save(f"exif_{orientation}.jpg", PICTURE, quality=85, exif=turned(orientation))


def pngs():
    save("png_rgb.png", PICTURE)
    save("png_grey.png", PICTURE.convert("L"))
    save("png_bilevel.png", PICTURE.convert("1", dither=Image.Dither.NONE))
    save("png_alpha.png", SEEN_THROUGH)
    save("png_grey_alpha.png", Image.merge("LA", [PICTURE.convert("L"), ALPHA]))
    save("png_palette.png", PALETTE)
    save("png_palette_clear.png", PALETTE, transparency=bytes(range(0, 256, 8)))
    save("png_palette_4_bits.png", PICTURE.quantize(11, dither=Image.Dither.NONE), bits=4)
    save("png_clear_colour.png", PICTURE, transparency=tuple(int(level) for level in ALL[9, 9]))
    save("png_animated.png", PICTURE, save_all=True, append_images=[OTHER], duration=100)
    save("png_exif.png", PICTURE, exif=turned(6))
    fine = ALL.astype("uint16") * 257 - (ALL % 3) * 19
    png("png_16_bits.png", 2, 16, [row.astype(">u2").tobytes() for row in fine])
    png("png_grey_16_bits.png", 0, 16, [row.astype(">u2").tobytes() for row in fine[..., 1]])
    png("png_grey_2_bits.png", 0, 2, [packed(row >> 6) for row in ALL[..., 0]])
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [row.tobytes() for left, top, across, down in passes for row in ALL[top::down, left::across]]
    png("png_interlaced.png", 2, 8, rows, interlaced=True)


def packed(levels):
    """Levels of two bits, four in a byte."""
    levels = numpy.pad(levels, (0, -len(levels) % 4)).reshape(-1, 4)
    return (levels << [6, 4, 2, 0]).sum(axis=1).astype("uint8").tobytes()


def webps_and_gifs():
    save("webp.webp", PICTURE, quality=85)
    save("webp_lossless.webp", PICTURE, lossless=True)
    save("webp_alpha.webp", SEEN_THROUGH, quality=85, exact=True)
    save("webp_alpha_lossless.webp", SEEN_THROUGH, lossless=True, exact=True)
    save("webp_animated.webp", PICTURE, save_all=True, append_images=[OTHER], quality=85)
    save("webp_exif.webp", PICTURE, quality=85, exif=turned(8))
    save("gif.gif", PALETTE)
    save("gif_interlaced.gif", PALETTE, interlace=1)
    save("gif_grey.gif", PICTURE.convert("L"))
    save("gif_clear.gif", PALETTE, transparency=5)
    save("gif_animated.gif", PICTURE, save_all=True, append_images=[OTHER, PICTURE], duration=80, loop=0)


jpegs()
pngs()
webps_and_gifs()

expected = {}
seen = []
for file in sorted(folder.iterdir()):
    if file.suffix == ".safetensors":
        continue
    image = Image.open(file)
    mode = image.mode
    if mode == "I;16":
        levels = (numpy.asarray(image).astype("float64") / 257).round().astype("uint8")
        image = Image.fromarray(levels)
    image = ImageOps.exif_transpose(image).convert("RGB")
    expected[f"pixels.{file.name}"] = torch.from_numpy(numpy.array(image))
    seen.append(image)
    print(f"{file.name:28} {mode:5} {file.stat().st_size:6}", image.size)
for name in ("vit", "resnet"):
    model = timm.create_model(f"local-dir:{fixtures / 'timm' / name}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    with torch.no_grad():
        hidden = model.forward_features(torch.stack([transform(image) for image in seen]))
        expected[f"features.{name}"] = model.forward_head(hidden, pre_logits=True).contiguous()
save_file(expected, folder / "expected.safetensors")
