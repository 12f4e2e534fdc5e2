"""EfficientNet-Lite0 by plain PyTorch operations on one made-up picture, for a test's numbers.

    python efficientnet.py FILE.pth > ../fixtures/efficientnet.json

Needs torch. The network is written out here a second time, without folding, as its paper's code
describes it: TensorFlow's "same" padding, batch normalisation with epsilon 1e-3, ReLU6.
"""

import json
import sys

import torch
import torch.nn.functional as F

weights = torch.load(sys.argv[1], map_location="cpu", weights_only=True)


def conv(x, name, stride=1, groups=1):
    w = weights[name + ".weight"]
    k = w.shape[-1]
    pads = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), w, stride=stride, groups=groups)


def norm(x, name):
    p = [weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(x, *p, eps=1e-3)


def block(x, name, kernel, stride, expansion):
    y = x
    if expansion > 1:
        y = F.relu6(norm(conv(y, name + "._expand_conv"), name + "._bn0"))
    y = F.relu6(norm(conv(y, name + "._depthwise_conv", stride, y.shape[1]), name + "._bn1"))
    y = norm(conv(y, name + "._project_conv"), name + "._bn2")
    return x + y if stride == 1 and x.shape == y.shape else y


def picture():
    """Waves in three colours: value = (x·a + y·b + c·85) mod 256, as made again by the test."""
    y, x = torch.meshgrid(torch.arange(224), torch.arange(224), indexing="ij")
    planes = [(x * (c + 1) + y * (3 - c) + c * 85) % 256 for c in range(3)]
    return (torch.stack(planes).float() - 127) / 128


with torch.no_grad():
    x = F.relu6(norm(conv(picture()[None], "_conv_stem", 2), "_bn0"))
    index = 0
    for repeats, kernel, stride, expansion in [
        (1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6),
    ]:
        for repeat in range(repeats):
            x = block(x, f"_blocks.{index}", kernel, stride if repeat == 0 else 1, expansion)
            index += 1
    x = F.relu6(norm(conv(x, "_conv_head"), "_bn1"))
    features = x.mean(dim=(2, 3))[0]
    logits = features @ weights["_fc.weight"].T + weights["_fc.bias"]
    score, label = logits.softmax(0).max(0)
    json.dump(
        {"features": [round(float(v), 6) for v in features], "label": int(label), "score": float(score)},
        sys.stdout,
    )
