"""Checkpoints at their full sizes with random weights, as transformers writes them.

Needs torch, transformers and tokenizers. A folder that is there is used again.
"""

import torch

VOCABULARY = 250_002
# The words are w0, w1, …
TEXT_WORDS = VOCABULARY - 4


def tokenizer(folder):
    """A vocabulary of the size of XLM-RoBERTa's, of words with numbers."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"▁w{number}", -10.0) for number in range(TEXT_WORDS)]
    made = Tokenizer(models.Unigram(pieces, unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "cls_token": "<s>"}
    PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=8192, **special).save_pretrained(folder)


def xlm_roberta():
    from transformers import XLMRobertaConfig, XLMRobertaModel

    config = XLMRobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        max_position_embeddings=8194,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    return XLMRobertaModel(config).eval()


def bge_m3(folder):
    """XLM-RoBERTa of the size of bge-m3, and a tokenizer."""
    if not (folder / "config.json").exists():
        torch.manual_seed(20261122)
        tokenizer(folder)
        xlm_roberta().save_pretrained(folder)


def blip(folder):
    """BLIP of the size of blip-image-captioning-base, and its processor."""
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    if (folder / "config.json").exists():
        return
    torch.manual_seed(20261122)
    folder.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]"] + [f"[unused{number}]" for number in range(99)] + ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"w{number}" for number in range(30_522 - len(words))] + ["[DEC]", "[ENC]"]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in words))
    text = {
        "vocab_size": len(words),
        "num_attention_heads": 12,
        "encoder_hidden_size": 768,
        "bos_token_id": 30_522,
        "sep_token_id": 102,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config={"image_size": 384}))
    for name, parameter in model.named_parameters():
        # Larger than the library's, with which every token and every picture is alike.
        if "word_embeddings" in name:
            torch.nn.init.normal_(parameter, 0.0, 0.35)
        elif parameter.dim() > 1 and ("crossattention" in name or "vision_model" in name):
            torch.nn.init.normal_(parameter, 0.0, 0.06)
    model.save_pretrained(folder)
    sizes = {"height": 384, "width": 384}
    BlipProcessor(BlipImageProcessor(size=sizes), BertTokenizer(str(vocabulary))).save_pretrained(folder)
