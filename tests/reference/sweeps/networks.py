"""timm's networks of convolutions."""

from timm.models.efficientnet import _gen_efficientnet_lite as lite

from .transformers_of_timm import of_timm


def resnet(draw, folder, about):
    """Residual networks of any widths and depths."""
    architecture = draw.choice(
        [
            "resnet18", "resnet34", "resnet50", "resnet101", "resnet26", "wide_resnet50_2", "resnext50_32x4d",
        ]
    )  # fmt: skip
    arguments = {
        "layers": tuple(draw.number(1, 3) for _ in range(4)),
        "channels": tuple(4 * draw.number(1, 6) for _ in range(4)),
        **draw.some(
            cardinality=[1, 2],
            base_width=[32, 64],
            global_pool=["avg", "max", "avgmax", "catavgmax", ""],
        ),
    }
    if architecture in ("resnet18", "resnet34"):
        arguments.pop("cardinality", None), arguments.pop("base_width", None)
    yield from of_timm(draw, folder, about, architecture, arguments)


def efficientnet(draw, folder, about):
    """EfficientNet-Lite of any width and depth, built by what builds those of timm."""
    architecture = draw.choice(
        ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite4", "tf_efficientnet_lite0", "tf_efficientnet_lite3"]
    )
    width, depth = draw.choice([0.05, 0.1, 0.25]), draw.choice([0.3, 1.0, 1.4])
    of_tensorflow = {"pad_type": "same", "bn_eps": 1e-3} if architecture.startswith("tf_") else {}

    def create(name, **arguments):
        return lite(name, channel_multiplier=width, depth_multiplier=depth, **of_tensorflow, **arguments)

    about.update(width=width, depth=depth)
    arguments = draw.some(global_pool=["avg", "max", "avgmax", ""])
    yield from of_timm(draw, folder, about, architecture, arguments, create=create)
