"""The BERT family, by itself and inside sentence-transformers."""

import json
import shutil

import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModel

from .common import number_type, same_vectors, scatter, store
from .contents import LINES, texts, write_texts

# In the order in which they are joined where a file has a switch for each.
POOLINGS = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
# What a checkpoint was trained for, whose weights lie beside those of the encoder.
TASKS = ["Model", "Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"]


def bert(draw, folder, about):
    """WordPiece, with or without capitals and accents."""
    lower = draw.maybe(0.7)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = trained(
        draw,
        models.WordPiece(unk_token="[UNK]"),
        trainers.WordPieceTrainer,
        special,
        normalizers.BertNormalizer(lowercase=lower),
        pre_tokenizers.BertPreTokenizer(),
    )
    order = sorted(words, key=words.get)
    if draw.maybe():
        # As in the vocabularies of the first checkpoints: others stand between these.
        draw.shuffle(order)
    tokenizer = transformers.BertTokenizer(
        vocab={word: index for index, word in enumerate(order)},
        do_lower_case=lower,
        **draw.some(strip_accents=[True, False], tokenize_chinese_chars=[False]),
    )
    about["tokenizer"] = {"lower": lower, "words": len(order)}
    tasks = ["ForPreTraining", "ForNextSentencePrediction", "ForMultipleChoice"]
    yield from family(draw, folder, about, "Bert", tokenizer, 0, TASKS + tasks)


def roberta(draw, folder, about):
    """Pieces of bytes."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    model = trained(
        draw,
        models.BPE(),
        trainers.BpeTrainer,
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        None,
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        pieces=True,
        initial_alphabet=alphabet,
    )
    tokenizer = transformers.RobertaTokenizer(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        add_prefix_space=draw.maybe(0.3),
    )
    about["tokenizer"] = {"words": len(model["vocab"])}
    yield from family(draw, folder, about, "Roberta", tokenizer, tokenizer.pad_token_id + 1, TASKS + ["ForMultipleChoice"])


def xlm_roberta(draw, folder, about):
    """Pieces by their probability, and CamemBERT with the same."""
    kind = draw.choice(["XLMRoberta", "XLMRoberta", "Camembert"])
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    model = trained(
        draw,
        models.Unigram(),
        trainers.UnigramTrainer,
        special,
        normalizers.NFKC(),
        pre_tokenizers.Metaspace(),
        pieces=True,
        unk_token="<unk>",
    )
    vocabulary = [(piece, score) for piece, score in model["vocab"]] + [("<mask>", 0.0)]
    tokenizer = getattr(transformers, f"{kind}Tokenizer")(vocab=vocabulary)
    about["tokenizer"] = {"kind": kind, "words": len(vocabulary)}
    yield from family(draw, folder, about, kind, tokenizer, tokenizer.pad_token_id + 1, TASKS)


def trained(draw, model, trainer, special, normalizer, before, pieces=False, **options):
    """The vocabulary that a tokenizer learns of the texts, or all that its model keeps."""
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = before
    lines = [line for line in LINES if draw.maybe(0.8)]
    size = draw.randint(300, 900)
    tokenizer.train_from_iterator(lines, trainer(vocab_size=size, special_tokens=special, show_progress=False, **options))
    return json.loads(tokenizer.to_str())["model"] if pieces else tokenizer.get_vocab()


def family(draw, folder, about, kind, tokenizer, taken, tasks):
    """A checkpoint of one of the family's types; so many positions are `taken` by no token."""
    longest = draw.choice([draw.randint(3, 20), draw.randint(20, 150), 512])
    heads, head = draw.number(1, 9), draw.number(1, 21)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer) + draw.choice([0, 0, 7]),
        hidden_size=heads * head,
        num_hidden_layers=draw.number(1, 6),
        num_attention_heads=heads,
        intermediate_size=draw.number(1, 150),
        max_position_embeddings=longest + taken,
        pad_token_id=tokenizer.pad_token_id,
        type_vocab_size=draw.choice([1, 2, 2, 3]),
        hidden_act=draw.choice(["gelu", "gelu", "gelu", "gelu_new", "relu", "silu", "gelu_pytorch_tanh", "gelu_fast"]),
        layer_norm_eps=draw.choice([1e-12, 1e-5, 1e-6, 1e-3]),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    task = draw.choice(tasks)
    dtype = number_type(draw)
    about.update(
        kind=kind, task=task, dtype=str(dtype), heads=heads, head=head, longest=longest, act=config.hidden_act,
        layers=config.num_hidden_layers, inner=config.intermediate_size, types=config.type_vocab_size,
    )  # fmt: skip
    model = getattr(transformers, f"{kind}{task}")
    model = model(config, add_pooling_layer=draw.maybe()) if task == "Model" and draw.maybe() else model(config)
    scatter(model, draw)
    here = folder / "checkpoint"
    model.to(dtype).save_pretrained(here)
    bounded = draw.maybe()
    if bounded or taken:
        tokenizer.model_max_length = min(longest, draw.choice([longest, draw.randint(3, 512)]))
    if draw.maybe(0.2):
        tokenizer.truncation_side = about["cut"] = "left"
    tokenizer.save_pretrained(here)
    about["model_max_length"] = tokenizer.model_max_length if bounded or taken else None

    found = texts(draw)
    file = write_texts(draw, folder, found)
    sentence = about["sentence"] = draw.maybe(0.7)
    if sentence:
        expected, arguments = as_sentences(draw, here, about, found, longest)
    else:
        expected, arguments = by_itself(draw, here, about, found, longest)
    if draw.maybe(0.3) and kind == "Bert":
        old_names(here, about)
    if draw.maybe(0.2) and kind == "Bert":
        words_alone(here, tokenizer, about)
    store(draw, here, about)
    yield same_vectors("texts", expected, folder, "--model", here, "--text-file", file, *arguments)
    if draw.maybe(0.3):
        batch = ["--batch", draw.randint(1, 7)]
        yield same_vectors("batches", expected, folder, "--model", here, "--text-file", file, *arguments, *batch)


def by_itself(draw, here, about, found, longest):
    """What transformers makes of texts, pooled as the command line says."""
    network = AutoModel.from_pretrained(here, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(here)
    longest = min(longest, tokenizer.model_max_length)
    pooling, unit = draw.choice(["cls", "mean", None]), draw.maybe()
    about.update(pooling=pooling, unit=unit)
    rows = []
    for start in range(0, len(found), 8):
        inputs = tokenizer(
            found[start : start + 8], truncation=True, max_length=longest, padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            states = network(**inputs).last_hidden_state
        mask = inputs.attention_mask.unsqueeze(-1)
        rows.append(states[:, 0] if pooling == "cls" else (states * mask).sum(1) / mask.sum(1))
    expected = torch.cat(rows)
    arguments = ["--pooling", pooling] if pooling else []
    if unit:
        expected = torch.nn.functional.normalize(expected)
        arguments.append("--normalize")
    return expected, arguments


def as_sentences(draw, here, about, found, longest):
    """What sentence-transformers makes of texts, by the modules that it writes."""
    whole = here.with_name("whole")
    first = Transformer(str(here), **draw.some(max_seq_length=[draw.randint(3, longest)]))
    width = first.get_embedding_dimension()
    modes = draw.choice(["mean", "cls", "mean", draw.choice(POOLINGS), draw.sample(POOLINGS, 2)])
    prompt = draw.choice([None, None, "query: ", "Represent: "])
    kept = draw.maybe(0.8)
    modules = [first, Pooling(width, pooling_mode=modes, include_prompt=kept)]
    about.update(pooling=modes, prompt=prompt, include_prompt=kept, max_seq_length=first.max_seq_length)
    if draw.maybe(0.25):
        width = modules[-1].get_embedding_dimension()
        activation = draw.choice([torch.nn.Tanh(), torch.nn.Identity(), torch.nn.ReLU(), torch.nn.GELU()])
        modules.append(Dense(width, draw.number(1, 50), bias=draw.maybe(0.7), activation_function=activation))
        about["dense"] = str(activation)
    if draw.maybe():
        modules.append(Normalize())
        about["normalize"] = True
    names = {"prompts": {"query": prompt, "other": "no: "}, "default_prompt_name": "query"} if prompt else {}
    encoder = SentenceTransformer(modules=modules, device="cpu", **names)
    encoder.save(str(whole), safe_serialization=True)
    if draw.maybe(0.2):
        # Versions before 6 write it; later ones read it still.
        settings = whole / "sentence_bert_config.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_lower_case": True}))
        about["lowers"] = True
    encoder = SentenceTransformer(str(whole), device="cpu").float().eval()
    expected = encoder.encode(found, batch_size=draw.randint(1, 16), convert_to_tensor=True).clone()
    # The weights stay those that transformers wrote, with those of their task.
    weights = here / "model.safetensors"
    shutil.copy(weights, whole / "model.safetensors")
    if draw.maybe(0.3):
        old_pooling(whole, about)
    shutil.rmtree(here)
    whole.rename(here)
    return expected, []


def old_names(here, about):
    """Normalisations under the names that they had at first, and positions that were counted."""
    path = here / "model.safetensors"
    tensors = load_file(path)
    prefix = "bert." if any(name.startswith("bert.") for name in tensors) else ""
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    positions = tensors[f"{prefix}embeddings.position_embeddings.weight"].shape[0]
    renamed[f"{prefix}embeddings.position_ids"] = torch.arange(positions).unsqueeze(0)
    save_file(renamed, path, metadata={"format": "pt"})
    about["names"] = "old"


def words_alone(here, tokenizer, about):
    """The vocabulary as a list of words, as before there was `tokenizer.json`."""
    order = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    (here / "vocab.txt").write_text("\n".join(order) + "\n")
    (here / "tokenizer.json").unlink()
    about["tokenizer file"] = "vocab.txt"


def old_pooling(here, about):
    """`1_Pooling/config.json` as it was written before version 6."""
    path = here / "1_Pooling" / "config.json"
    file = json.loads(path.read_text())
    modes = file.pop("pooling_mode")
    modes = [modes] if isinstance(modes, str) else modes
    switches = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "weightedmean": "weightedmean_tokens"}
    if sorted(modes, key=POOLINGS.index) != modes:
        # Switches have no order of their own.
        return
    for mode in POOLINGS:
        file[f"pooling_mode_{switches.get(mode, mode)}"] = mode in modes
    file["word_embedding_dimension"] = file.pop("embedding_dimension")
    path.write_text(json.dumps(file))
    about["pooling file"] = "old"
