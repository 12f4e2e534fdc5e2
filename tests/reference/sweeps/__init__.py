"""The architectures of `sweep.py`: each name's function draws a case and yields its checks.

Modules are imported when they are asked for: `visualized` needs another version of transformers
than the others.
"""

import importlib

ARCHITECTURES = {
    "bert": "texts",
    "roberta": "texts",
    "xlm_roberta": "texts",
    "vit": "transformers_of_timm",
    "eva": "transformers_of_timm",
    "resnet": "networks",
    "efficientnet": "networks",
    "blip": "blip",
    "florence": "florence",
    "visualized": "visualized",
}


def cases_of(name):
    """The function that draws cases of an architecture."""
    return getattr(importlib.import_module(f".{ARCHITECTURES[name]}", __name__), name)
