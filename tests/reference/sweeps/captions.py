"""What both captioners share: weights with which captions vary, and ways to search."""

import torch


def scatter_words(model, spread):
    """Random weights with which captions vary: those of the library make every token alike."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
                parameter.copy_(centre + 0.2 * torch.randn_like(parameter))
            elif "word_embeddings" in name or "shared" in name:
                parameter.copy_(0.35 * torch.randn_like(parameter))
            elif "embed" in name and parameter.dim() < 4:
                parameter.copy_(2.5 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) * spread / parameter[0].numel() ** 0.5)


def search(draw, words, room):
    """What a file of settings asks for; most ask for little."""
    if draw.maybe(0.3):
        return {}
    settings = draw.some(
        repetition_penalty=[1.2, 1.7, 0.8],
        no_repeat_ngram_size=[1, 2, 3],
        min_length=[3, 9],
        max_length=[7, 12, 25],
        length_penalty=[2.0, 0.3, 0.0, -1.5],
        early_stopping=[True, False, "never"],
        num_beams=[1, 2, 3, 4],
        min_new_tokens=[2, 6],
        max_new_tokens=[5, 15],
        forced_eos_token_id=[3],
        suppress_tokens=[[draw.randrange(5, words), draw.randrange(5, words)]],
        begin_suppress_tokens=[[draw.randrange(5, words)]],
        do_sample=[False],
    )
    kept = draw.sample(sorted(settings), min(len(settings), draw.randint(1, 4)))
    settings = {key: settings[key] for key in kept}
    if {"length_penalty", "early_stopping"} & settings.keys() and settings.get("num_beams", 1) == 1:
        # The library writes no file with what it would not use.
        settings["num_beams"] = 2
    for key in ("max_length", "max_new_tokens"):
        if key in settings:
            settings[key] = min(settings[key], room)
    return settings


def asked(draw, prompts, room):
    """Ways to ask: a label, a prompt or none, and what `generate` is given."""
    yield "as the files say", None, {}
    yield "beams", None, {"num_beams": 3}
    yield "prompt", draw.choice(prompts), {}
    options = {}
    if draw.maybe():
        options["max_new_tokens"] = draw.randint(1, min(12, room - 1))
    if draw.maybe():
        options["num_beams"] = draw.randint(1, 5)
    yield "wishes", draw.choice([None, *prompts]), options
