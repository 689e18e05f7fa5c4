"""Tokenizers trained with Hugging Face's `tokenizers`, and the ids they give: `python hf_tokenizers.py DATA [VOCABULARY]`.

Writes tokenizers/<name>.json (tokenizer.json of Hugging Face's layout) and tokenizers/ids.json. With a size of VOCABULARY
and a folder as third argument, larger ones for a check by hand go there.
"""

import json
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent / "tokenizers"
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
JAPANESE = [
    "吾輩は猫である。名前はまだ無い。",
    "どこで生れたかとんと見当がつかぬ。",
    "何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。",
    "吾輩はここで始めて人間というものを見た。",
    "東京の天気は晴れです。2024年1月1日、気温は12.5度でした。",
]
TEXTS = [
    "Hello world",
    "It's 12345 o'clock, isn't it? I'LL SAY: \"don't!\"",
    "  two  spaces   and\ttabs\r\nand\n\n\nlines  \n",
    "吾輩は猫である。名前はまだ無い。",
    "mixed 東京タワー is 333m tall, ½ of 666",
    "emoji 😀👨‍👩‍👧 and ☃️ — dash… «quotes»",
    "naïve café e\u0301 Straße",
    "x=1;\n\tif (x<=2) { return 'a\\n'; }",
    "",
    " leading",
    "trailing ",
    "7 77 777 7777 77777",
    "�\u200b\u00a0\u3000wide space",
]


def lines(data):
    shakespeare = (data / "tinyshakespeare/input.txt").read_text().splitlines()
    return [line for line in shakespeare[:1000] if line] + JAPANESE * 20


def byte_level(pre, size, text):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer


def llama3(size, text):
    split = pre_tokenizers.Split(Regex(LLAMA_3), "isolated")
    pre = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = byte_level(pre, size, text)
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    template = processors.TemplateProcessing(
        single="<|begin_of_text|> $A",
        pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
        special_tokens=[("<|begin_of_text|>", bos)],
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    tokenizer.model.ignore_merges = True
    return tokenizer


def gpt2(size, text):
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), size, text)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def smollm(size, text):
    parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    return byte_level(pre_tokenizers.Sequence(parts), size, text)


def llama2(size, text):
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁?[^▁]+"), "isolated")  # for training alone
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=50, show_progress=False, special_tokens=specials)
    tokenizer.train_from_iterator(text, trainer)
    parsed = json.loads(tokenizer.to_str())
    parsed["pre_tokenizer"] = None
    parsed["added_tokens"] = parsed["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(parsed))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def main():
    data = Path(sys.argv[1])
    size, folder = (int(sys.argv[2]), Path(sys.argv[3])) if len(sys.argv) > 2 else (None, HERE)
    folder.mkdir(exist_ok=True)
    ids = {"texts": TEXTS}
    texts = TEXTS if size is None else TEXTS + json.loads(Path(sys.argv[4]).read_text())
    ids["texts"] = texts
    for make, small in [(llama3, 330), (gpt2, 320), (smollm, 300), (llama2, 380)]:
        tokenizer = make(size or small, lines(data) if size is None else texts[: len(texts) // 2])
        name = make.__name__
        path = folder / f"{name}.json"
        path.write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")) + "\n")
        ids[name] = [tokenizer.encode(text).ids for text in texts]
        ids[name + "_vocab"] = tokenizer.get_vocab_size()
    (folder / "ids.json").write_text(json.dumps(ids, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
