"""Words of the texts in WORK/segmentation.json by MeCab with unidic-lite."""
import json
import sys
import time

import MeCab
import unidic_lite

texts = json.load(open(f"{sys.argv[1]}/segmentation.json"))
tagger = MeCab.Tagger(f"-r /dev/null -d {unidic_lite.DICDIR} -Owakati")
start = time.perf_counter()
words = [tagger.parse(text).split() for text in texts]
seconds = time.perf_counter() - start
values = []
for text, row in zip(texts, words):
    end, total = 0, 0
    for word in row:
        end = text.index(word, end) + len(word)
        total += end * end
    values.append(total)
print(json.dumps({"seconds": seconds, "items": sum(map(len, words)), "values": values}))
