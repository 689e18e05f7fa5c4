"""Word pieces of single words by transformers' BERT tokenizers over a small vocabulary; prints pieces.json."""
import json
import tempfile
import unicodedata
from importlib.metadata import version
from pathlib import Path

from transformers import BertTokenizerFast
from transformers.models.bert_japanese.tokenization_bert_japanese import BertJapaneseTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = """a ##a e ##e new ##ton york jo ##hn ##son resume Jo New ##S ##s ' - . @ u 2 ##0 ##2 ##1 is ##land ss ##ß
東 京 ##京 東京 都 ##都 バ ##バ ハ で ##で て カ ガ ##ガ ー ##ー (株) ( 株 ) ##株 ##) ﾊ""".split()
WORDS = ["newton", "New", "Johnson", "JOHNSON", "résumé", "RÉSUMÉ", "can't", "U.S.", "2021", "island", "straße", "東京都", "東京",
         "バー", "ガー", "で", "㈱", "ﾊﾞｰ", "@jo", "🙂", "\u200b", "\u0000", "new york", "x" * 150, "e\u0301"]
vocabulary = SPECIAL + PIECES
cases = []
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder)
    (path / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    for settings in ({"do_lower_case": True}, {"do_lower_case": False}, {"do_lower_case": True, "strip_accents": False},
                     {"do_lower_case": False, "tokenize_chinese_chars": False}):
        tokenizer = BertTokenizerFast(str(path / "vocab.txt"), **settings)
        ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in WORDS]
        cases.append({"settings": {"tokenizer_class": "BertTokenizer", **settings}, "ids": ids})
    for kind in ("wordpiece", "character"):
        settings = {"do_lower_case": False, "word_tokenizer_type": "basic", "subword_tokenizer_type": kind}
        tokenizer = BertJapaneseTokenizer(str(path / "vocab.txt"), do_word_tokenize=False, **settings)
        ids = [tokenizer.convert_tokens_to_ids(tokenizer.subword_tokenizer.tokenize(unicodedata.normalize("NFKC", word))) for word in WORDS]
        cases.append({"settings": {"tokenizer_class": "BertJapaneseTokenizer", **settings}, "ids": ids})
print(json.dumps({"transformers": version("transformers"), "vocabulary": vocabulary, "words": WORDS, "cases": cases}, ensure_ascii=False))
