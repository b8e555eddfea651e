"""Small RoBERTa classifiers with random weights, as folders that Hugging Face saves, and what
transformers computes with them.

goldens/roberta/{sequence,token}/{config.json,tokenizer.json,model.safetensors} and expected.json: per
text the ids and, computed in float64, the logits of the text or the label of each word.
"""

import json

import torch
from golden_file import GOLDENS, release_argument
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from transformers import (
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaTokenizerFast,
)

TEXTS = [
    "I can't believe it!",
    "so",
    "What a lovely day it is, and what a surprise to see you here.",
    "héllo wörld — naïve café 😀",
    " ".join(["long texts are cut and their end mark stays"] * 9),
]
EMOTIONS = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"]
# Another order than ours: logits have to be put in place by name.
LABELS = {
    "sequence": EMOTIONS[::-1],
    "token": ["0", ".", ",", "?", "-", ":"],
}
MAX_LENGTH = 77


def save(kind: str, model_class: type, tokenizer: RobertaTokenizerFast) -> None:
    torch.manual_seed(len(kind))
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        # Fewer than the longest text has tokens, more than MAX_LENGTH.
        max_position_embeddings=130,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        id2label=dict(enumerate(LABELS[kind])),
        label2id={label: index for index, label in enumerate(LABELS[kind])},
    )
    model = model_class(config).eval()
    # The library's initialisation is so small that every text looks the same.
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if key.endswith("LayerNorm.weight"):
                parameter.copy_(1 + 0.3 * noise)
            elif key.endswith("bias"):
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(0.5 * noise)
    folder = GOLDENS / "roberta" / kind
    # Half the size, and a reader has to take this type too.
    model = model.half()
    model.save_pretrained(folder)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    for extra in folder.iterdir():
        if extra.name not in ("config.json", "tokenizer.json", "model.safetensors"):
            extra.unlink()
    exact = model.double()
    expected = []
    for text in TEXTS:
        entry = {"text": text}
        for name, length in (("cut", MAX_LENGTH), ("whole", 128)):
            encoded = tokenizer(
                text, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
            )
            with torch.no_grad():
                logits = exact(**encoded).logits[0]
            used = int(encoded["attention_mask"].sum())
            entry[name] = {"ids": encoded["input_ids"][0, :used].tolist()}
            if kind == "sequence":
                entry[name]["logits"] = logits.tolist()
        if kind == "token":
            words = text.split()
            encoded = tokenizer(" ".join(words), max_length=128, truncation=True, return_tensors="pt")
            with torch.no_grad():
                best = exact(**encoded).logits[0].argmax(-1).tolist()
            last: dict[int, int] = {}
            for token, word in enumerate(encoded.word_ids()):
                if word is not None:
                    last[word] = best[token]
            # Byte-level words are those of the pre-tokenizer; each text word's last piece counts.
            labels, place = [], 0
            for word in words:
                place += len(word)
                token = encoded.char_to_token(place - 1)
                labels.append(None if token is None else LABELS[kind][best[token]])
                place += 1
            entry["word_labels"] = labels
        expected.append(entry)
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"roberta/{kind}: {len(expected)} texts, {size / 1000:.0f} kB")


def main() -> None:
    release_argument(__doc__)
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        TEXTS,
        vocab_size=320,
        min_frequency=1,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    )
    trained.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer = RobertaTokenizerFast(tokenizer_object=trained._tokenizer)
    save("sequence", RobertaForSequenceClassification, tokenizer)
    save("token", RobertaForTokenClassification, tokenizer)


if __name__ == "__main__":
    main()
