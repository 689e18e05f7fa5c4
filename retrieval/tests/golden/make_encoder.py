"""Golden token vectors of tiny BERTs, by the packages that define the directory layouts.

    make_encoder.py pylate|colbert|japanese|multivector OUT.json

Weights are no random numbers of the package but a formula of tensor name and place, which the test repeats, so that no weights are stored.
"""
import json
import os
import string
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
ENGLISH = ["the cat sat on the mat.", "", "Cats, playing: a zebra!", "the mat by the cat, the dog sat on a mat by a dog"]
# Punctuation that the vocabulary lacks puts [UNK] on the skiplist of PyLate and colbert-ai, and with it every unknown word.
KNOWN = [text.replace("zebra", "dog") for text in ENGLISH]
JAPANESE = ["東京の猫が好き。", "", "犬は京都で、ﾈｺを見た", "猫が好きで犬が好きで猫が好きで犬が好きで東京が好きで京都が好き"]
WORDS = "the cat sat on mat a dog by play cats".split() + ["##s", "##ing", "##y"]
KANA = "東 京 都 の 猫 が 好 き 犬 は で を 見 た ネ コ 。 、".split()


def vocabulary(words):
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"] + words + list(".,!:-")


def uniform(name, size):
    """Numbers in [-0.5, 0.5): splitmix64 from the name's FNV-1a."""
    with np.errstate(over="ignore"):
        seed = np.uint64(0xCBF29CE484222325)
        for byte in name.encode():
            seed = (seed ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        z = seed + (np.arange(size, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5


def weights(name, shape):
    norm = "LayerNorm" in name and name.endswith(("weight", "gamma"))
    values = 1 + 0.4 * uniform(name, int(np.prod(shape))) if norm else uniform(name, int(np.prod(shape)))
    return torch.tensor(values.reshape(shape), dtype=torch.float32)


def refill(folder):
    """Puts the formula's numbers into every weight file, names and shapes as the package wrote them."""
    tensors = {}
    for path in sorted(folder.rglob("*.safetensors")):
        found = load_file(path)
        save_file({name: weights(name, tensor.shape) for name, tensor in found.items()}, path, {"format": "pt"})
        # To save space: `name shape`, and layer 1 is like layer 0.
        lines = [f"{name} {'x'.join(map(str, tensor.shape))}" for name, tensor in sorted(found.items())]
        first = [line for line in lines if "layer.1." not in line]
        second = [line.replace("layer.0.", "layer.1.") for line in first if "layer.0." in line]
        assert sorted(first + second) == lines
        tensors[str(path.relative_to(folder))] = first
    return tensors


def bert(folder, size, tokenizer):
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=size, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, max_position_embeddings=32)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def english_tokenizer(work):
    from transformers import BertTokenizerFast

    (work / "vocab.txt").write_text("\n".join(vocabulary(WORDS)) + "\n")
    if sys.argv[1] == "colbert":
        return BertTokenizerFast(str(work / "vocab.txt"))
    return BertTokenizerFast(vocab={token: i for i, token in enumerate(vocabulary(WORDS))})


def rounded(vectors):
    return [[round(float(x), 6) for x in np.asarray(rows, dtype=np.float32).ravel()] for rows in vectors]


def kept(folder, names):
    files = {}
    for name in names:
        if (folder / name).exists():
            text = (folder / name).read_text()
            files[name] = text if name.endswith(".txt") else json.loads(text)
    return files


def pylate(work):
    import pylate
    from pylate import models

    base, folder = work / "base", work / "model"
    bert(base, len(vocabulary(WORDS)), english_tokenizer(work))
    first = models.ColBERT(str(base), embedding_size=4, query_length=9, document_length=12, device="cpu")
    first.save_pretrained(str(folder))
    tensors = refill(folder)
    model = models.ColBERT(str(folder), device="cpu")
    texts = KNOWN
    names = ["config.json", "modules.json", "config_sentence_transformers.json", "1_Dense/config.json", "tokenizer.json", "tokenizer_config.json"]
    return f"pylate {pylate.__version__}", folder, names, tensors, texts, model.encode(texts, is_query=True), model.encode(texts, is_query=False)


def multivector(work):
    from sentence_transformers import MultiVectorEncoder, __version__

    base, colbert, folder = work / "base", work / "colbert", work / "model"
    bert(base, len(vocabulary(WORDS)), english_tokenizer(work))
    stanford(base, colbert)
    MultiVectorEncoder(str(colbert), device="cpu").save_pretrained(str(folder))
    tensors = refill(folder)
    model = MultiVectorEncoder(str(folder), device="cpu")
    names = ["config.json", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "1_Dense/config.json",
             "2_MultiVectorMask/config.json", "tokenizer.json", "tokenizer_config.json"]
    return f"sentence-transformers {__version__}", folder, names, tensors, ENGLISH, model.encode_query(ENGLISH), model.encode_document(ENGLISH)


def stanford(base, folder):
    """A Stanford directory made of a BERT's, for a converter to read."""
    folder.mkdir()
    for path in base.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((base / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}))
    found = load_file(base / "model.safetensors")
    tensors = {f"bert.{name}": tensor for name, tensor in found.items()}
    save_file({**tensors, "linear.weight": torch.zeros(4, 8)}, folder / "model.safetensors", {"format": "pt"})
    metadata = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 9, "doc_maxlen": 12, "dim": 4,
                "mask_punctuation": True, "attend_to_mask_tokens": False, "similarity": "cosine"}
    (folder / "artifact.metadata").write_text(json.dumps(metadata))


def colbert(work, texts=KNOWN, tokenizer=None):
    from importlib.metadata import version

    from colbert.infra import ColBERTConfig
    from colbert.modeling.checkpoint import Checkpoint

    size = len(vocabulary(WORDS)) if tokenizer is None else tokenizer.vocab_size
    base, folder = work / "base", work / "model"
    bert(base, size, tokenizer or english_tokenizer(work))
    settings = dict(dim=4, query_maxlen=9, doc_maxlen=12, mask_punctuation=True, attend_to_mask_tokens=texts is JAPANESE)
    open_it = lambda path: Checkpoint(str(path), colbert_config=ColBERTConfig(checkpoint=str(path), **settings), verbose=0)
    open_it(base).save(str(folder))
    tensors = refill(folder)
    model = open_it(folder)
    queries = model.queryFromText(texts)
    ids, mask = model.doc_tokenizer.tensorize(texts)
    documents = model.doc(ids, mask, keep_dims=False)
    names = ["config.json", "artifact.metadata", "vocab.txt", "tokenizer_config.json"]
    return f"colbert-ai {version('colbert-ai')}", folder, names, tensors, texts, queries, documents


def japanese(work):
    from transformers import BertJapaneseTokenizer

    (work / "vocab.txt").write_text("\n".join(vocabulary(KANA + ["東京", "京都", "好き", "##コ"])) + "\n")
    tokenizer = BertJapaneseTokenizer(str(work / "vocab.txt"), word_tokenizer_type="mecab", mecab_kwargs={"mecab_dic": "unidic_lite"})
    return colbert(work, JAPANESE, tokenizer)


def main():
    with tempfile.TemporaryDirectory() as work:
        package, folder, names, tensors, texts, queries, documents = globals()[sys.argv[1]](Path(work))
        golden = {"package": package, "files": kept(folder, names), "tensors": tensors, "texts": texts,
                  "queries": rounded(queries), "documents": rounded(documents)}
        if sys.argv[1] == "japanese":
            import unicodedata

            from transformers.models.bert_japanese.tokenization_bert_japanese import MecabTokenizer

            mecab = MecabTokenizer(mecab_dic="unidic_lite")
            golden["words"] = [mecab.tokenize(unicodedata.normalize("NFKC", text)) for text in texts]
    if "artifact.metadata" in golden["files"]:
        metadata = golden["files"]["artifact.metadata"]
        for key in ("meta", "checkpoint", "root", "name"):  # provenance, paths of this machine
            metadata.pop(key, None)
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    Path(sys.argv[2]).write_text(text + "\n")
    print(sys.argv[2], len(text.encode()), "bytes")


main()
