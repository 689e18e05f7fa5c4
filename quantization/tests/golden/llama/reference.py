"""Goldens of tests/llama: a second implementation of the stories model in numpy (f64), and GPT-2 tokens by `tokenizers`.

    python reference.py DATA > .../golden/llama/reference.json      (numpy, gguf 0.19.0, tokenizers)
"""

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

data = Path(sys.argv[1])
STORY = "Once upon a time"
TEXTS = [
    "", " ", "Hello world", "Hello  world's 12ab!?\n\n x", "I'LL don't 'tis  ", "\tdef f(x):\n\t\treturn x**2  # ²\n",
    "naïve café — “quotes” … 漢字かな交じり文 🙂👍🏽", "a\u0301b\u0301 ½ Ⅷ\u00a0x\u3000y", "हिन्दी عربى ไทย", "\r\n\r\n  \r\nx   ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "                                  z", "<|endoftext|>", "Lily's mom's \u2581 box",
]


def pieces():
    raw = (data / "stories260k/tok512.bin").read_bytes()
    place, out = 4, []
    while place < len(raw):
        score = np.frombuffer(raw, "<f4", 1, place)[0]
        length = int(np.frombuffer(raw, "<i4", 1, place + 4)[0])
        out.append((raw[place + 8 : place + 8 + length], float(score)))
        place += 8 + length
    return out


def encode(text, vocabulary):
    """llama2.c's rules, by exhaustive search of the best pair."""
    ids = {}
    for i, (piece, _) in enumerate(vocabulary):
        ids.setdefault(piece, i)
    tokens = [1]
    if not text:
        return tokens
    tokens.append(ids[b" "])
    for char in text:
        raw = char.encode()
        tokens += [ids[raw]] if raw in ids else [byte + 3 for byte in raw]
    while True:
        best = None
        for i in range(1, len(tokens) - 1):
            joined = ids.get(vocabulary[tokens[i]][0] + vocabulary[tokens[i + 1]][0])
            if joined is not None and (best is None or vocabulary[joined][1] > best[0]):
                best = (vocabulary[joined][1], i, joined)
        if best is None:
            return tokens
        tokens[best[1] : best[1] + 2] = [best[2]]


def stories():
    raw = (data / "stories260k/stories260K.bin").read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, _ = np.frombuffer(raw, "<i4", 7)
    rest = np.frombuffer(raw, "<f4", offset=28).astype(np.float64)
    place = 0

    def take(*shape):
        nonlocal place
        size = int(np.prod(shape))
        place += size
        return rest[place - size : place].reshape(shape)

    width = dim // heads
    w = {"embedding": take(vocab, dim), "norm1": take(layers, dim), "q": take(layers, dim, dim)}
    w |= {"k": take(layers, kv_heads * width, dim), "v": take(layers, kv_heads * width, dim), "o": take(layers, dim, dim)}
    w |= {"norm2": take(layers, dim), "gate": take(layers, hidden, dim), "down": take(layers, dim, hidden)}
    w |= {"up": take(layers, hidden, dim), "norm": take(dim)}
    norm = lambda x, g: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * g

    def rotate(x):
        positions = np.arange(x.shape[0])[:, None, None]
        angle = positions * 10000.0 ** (-np.arange(0, width, 2) / width)
        pairs = x[..., 0::2] + 1j * x[..., 1::2]
        pairs = pairs * np.exp(1j * angle)
        return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)

    def logits(tokens):
        h, n = w["embedding"][tokens], len(tokens)
        for i in range(layers):
            x = norm(h, w["norm1"][i])
            q = rotate((x @ w["q"][i].T).reshape(n, heads, width))
            k = rotate((x @ w["k"][i].T).reshape(n, kv_heads, width)).repeat(heads // kv_heads, 1)
            v = (x @ w["v"][i].T).reshape(n, kv_heads, width).repeat(heads // kv_heads, 1)
            scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(width)
            scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
            p = np.exp(scores - scores.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            h = h + np.einsum("hts,shd->thd", p, v).reshape(n, dim) @ w["o"][i].T
            x = norm(h, w["norm2"][i])
            gate = x @ w["gate"][i].T
            h = h + (gate / (1 + np.exp(-gate)) * (x @ w["up"][i].T)) @ w["down"][i].T
        return norm(h[-1], w["norm"]) @ w["embedding"].T

    vocabulary = pieces()
    tokens = encode(STORY, vocabulary)
    prompt = len(tokens)
    for _ in range(200):
        tokens.append(int(np.argmax(logits(tokens))))
    text = b"".join(bytes([t - 3]) if 3 <= t < 259 else vocabulary[t][0] for t in tokens[prompt:])
    return {
        "prompt": STORY,
        "prompt_tokens": tokens[:prompt],
        "continuation": tokens[prompt:],
        "text": text.decode(),
        "first_logits": [round(float(x), 6) for x in logits(tokens[:prompt])[:16]],
        "encoded": [[text, encode(text, vocabulary)] for text in TEXTS],
    }


def gpt2():
    fields = GGUFReader(data / "gguf-vocab/ggml-vocab-gpt-2.gguf").fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(line.split(" ")) for line in fields["tokenizer.ggml.merges"].contents()]
    model = models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    play = (data / "tinyshakespeare/input.txt").read_text()[:4000]
    encoded = [[text, tokenizer.encode(text).ids] for text in TEXTS]
    return {"encoded": encoded, "play_characters": 4000, "play": tokenizer.encode(play).ids}


json.dump({"stories": stories(), "gpt2": gpt2()}, sys.stdout, ensure_ascii=True, separators=(",", ":"))
