"""Reads WORK/million.vec with gensim."""
import json
import sys
import time

from gensim.models import KeyedVectors

start = time.perf_counter()
vectors = KeyedVectors.load_word2vec_format(f"{sys.argv[1]}/million.vec")
seconds = time.perf_counter() - start
values = [float(vectors[f"w{place}"].sum()) for place in (0, 400000, 999980)]
print(json.dumps({"seconds": seconds, "items": len(vectors), "values": values}))
