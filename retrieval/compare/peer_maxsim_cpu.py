"""Every document scored on one thread by maxsim-cpu.

Arguments: STORAGE DOCUMENTS WORK; the storage is ours, maxsim-cpu holds f32. Reads what `peer_maxsim` wrote.
"""
import json
import os
import sys
import time

os.environ.setdefault("RAYON_NUM_THREADS", "1")

import maxsim_cpu
import numpy as np

_, documents, work = sys.argv[1:]
documents = int(documents)
WIDTH, TOKENS, QUERIES, QUERY_TOKENS, REPEATS = 128, 100, 4, 32, 5
vectors = np.fromfile(f"{work}/maxsim-{documents}.documents", dtype="<f4").reshape(documents, TOKENS, WIDTH)
queries = np.fromfile(f"{work}/maxsim.queries", dtype="<f4").reshape(QUERIES, QUERY_TOKENS, WIDTH)
fastest, found = float("inf"), None
for _ in range(REPEATS):
    start = time.perf_counter()
    found = [np.sort(maxsim_cpu.maxsim_scores(query, vectors))[::-1][:10] for query in queries]
    fastest = min(fastest, time.perf_counter() - start)
values = [float(value) for scores in found for value in scores]
print(json.dumps({"seconds": fastest, "items": QUERIES * documents, "values": values}))
