"""Ids of OpenAI's SimpleTokenizer for hard cases, sentences in many languages and random strings.

usage: tokens.py OPENAI_CLIP_FOLDER DATA_FOLDER OUT
"""
import json, pathlib, random, sys

sys.path.insert(0, sys.argv[1])
data = pathlib.Path(sys.argv[2])
from clip.simple_tokenizer import SimpleTokenizer

tokenizer = SimpleTokenizer(str(data / "clip-bpe/bpe_simple_vocab_16e6.txt.gz"))
rng = random.Random(7)
texts = [
    "a photo of a cat.", "hello, world!", "", " ", "\t\n", "It's we'll they've I'm he'd can't you're", "IT'S 'S 'ſ 'tis 'sam", "don''t '''s",
    "123 4567 8,9.10 ½ ² ③ ٣ ३ 一二三", "<|startoftext|> x <|endoftext|> y", "a<|endoftext|>b!<|endoftext|>", "<|STARTOFTEXT|>", "&lt;b&gt; &amp;amp; &amp;lt; &notit; &eacute &#39; &#x27; &#150; &#0; &#1114112; & &; &#;",
    "ＦＵＬＬ ｗｉｄｔｈ １２３", "schÃ¶n CafÃ©", "â€œquotedâ€\x9d â€˜yesâ€™", "“curly” ‘quotes’ ’s ‚low‛ „x‟", "ﬁne ﬂat oﬀer eﬃcient ﬆ", "\x1b[31mred\x1b[0m plain", "a\x00b\x07c\x7fd\x85e",
    "line\u2028sep\u2029para\r\nwin\rmac", "zero\u200bwidth\u200cjoin\ufeffbom", "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ σΣ", "İstanbul I ı", "ǅ ǲ ß ẞ STRASSE Straße", "naïve café e\u0301 o\u0308 Å", "👩‍👩‍👧‍👦 🇯🇵 ❤️ 🙂🙃", "🏳️‍🌈x🏴‍☠️", "한국어 문장입니다.", "日本語の文章、です。", "汉字和标点，测试！", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "مرحبا بالعالم", "שלום עולם", "Привет, мир!", "ტესტი", "Tiếng Việt có dấu", "a_b-c—d–e…f·g•h", "x²+y²=z² ∑∞≠≤ →⇒", "http://example.com/?q=a+b&c=d#e", "e-mail: a.b@c.de", "#hashtag @user $5.00 100% 3/4", "a" * 100, "ab" * 300, "x" * 10000, "é" * 200, "word " * 300,
    "C:\\path\\to\\file", "\\u0041 \\n", "tab\tseparated\tvalues", "mixed日本English混在123", "ⅣⅤⅥ ⅳ Ⅻ", "𝒜𝓑𝕔 𝟘𝟙", "ａ゛ｶﾞ ｱｲｳ", "\u00a0nbsp\u2003em", "l’été d’Amélie", "O’Neil & Sons", "&quot;hi&quot; &lt;3", "<3 <b>bold</b>", "&nbsp;&copy;2024&trade;", "rock&roll AT&T &amp", "¿Qué? ¡Sí!", "łódź żółć", "ﷺ ﷽", "\ud7ff \ue000 \ufffd \U0010ffff",
]


def lines(path, pick, count):
    rows = [pick(line) for line in open(data / path, encoding="utf-8")]
    rows = [row for row in rows if row]
    return rng.sample(rows, min(count, len(rows)))


texts += lines("imageinwords/long_captions.jsonl", lambda line: json.loads(line)["caption"], 60)
for path in sorted(data.glob("freedict-bilingual/*"))[:4] + sorted(data.glob("xquad-en/*"))[:1] + sorted(data.glob("wnut17/*"))[:2] + sorted(data.glob("uner-en-pt/pt*"))[:1]:
    if path.suffix in (".tsv", ".txt", ".conll", ".iob2", ".json"):
        texts += [text[:400] for text in lines(path.relative_to(data), lambda line: line.strip(), 25)]
alphabets = ["abc XYZ'.,!&;<>|#0123456789", "éàüßñçøåœæÉÀÜ ’‘“”«»", "абвГДЕ ґїєщ", "αβγΣς ΆΈ", "日本語ひらカタ漢字 、。", "한국어 글", "😀👍🏽❤️‍ ", "\t\n\r\u00a0\u2003 ", "ﬁﬂＡｂ１ﾊﾟ", "Ã©â€™Â£¼"]
for _ in range(250):
    chosen = rng.sample(alphabets, rng.randint(1, 3)) + [alphabets[0]]
    texts.append("".join(rng.choice(rng.choice(chosen)) for _ in range(rng.randint(1, 40))))
json.dump([[text, tokenizer.encode(text)] for text in texts if "\ud7ff" not in text or True], open(sys.argv[3], "w"), ensure_ascii=True, separators=(",", ":"))
