"""BM25 in Lucene's form by bm25s, on words that are split at spaces."""

import json
import random

import bm25s

random.seed(7)
WORDS = [f"w{i}" for i in range(25)]
texts = [" ".join(random.choices(WORDS, k=random.randint(1, 20))) for _ in range(12)]
queries = [" ".join(random.choices(WORDS, k=random.randint(1, 5))) for _ in range(6)]
model = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
model.index([text.split() for text in texts], show_progress=False)
scores = [[round(float(s), 6) for s in model.get_scores(query.split())] for query in queries]
print(json.dumps({"texts": texts, "queries": queries, "scores": scores}, separators=(",", ":")))
