"""Every document scored on one thread by torch: a product of a chunk of documents with the query, then the maximum over tokens.

Arguments: STORAGE DOCUMENTS WORK; the storage is ours, torch holds f32. The fastest of three chunk sizes counts. Reads what
`peer_maxsim` wrote.
"""
import json
import sys
import time

import numpy as np
import torch

_, documents, work = sys.argv[1:]
documents = int(documents)
WIDTH, TOKENS, QUERIES, QUERY_TOKENS, REPEATS = 128, 100, 4, 32, 5
torch.set_num_threads(1)
torch.set_grad_enabled(False)
values = np.fromfile(f"{work}/maxsim-{documents}.documents", dtype="<f4")
rows = torch.from_numpy(values.reshape(documents, TOKENS, WIDTH))
queries = torch.from_numpy(np.fromfile(f"{work}/maxsim.queries", dtype="<f4").reshape(QUERIES, QUERY_TOKENS, WIDTH))


def scores(query, chunk):
    parts = []
    for start in range(0, documents, chunk):
        part = rows[start : start + chunk].reshape(-1, WIDTH) @ query.T
        parts.append(part.view(-1, TOKENS, QUERY_TOKENS).amax(1).sum(1))
    return torch.cat(parts)


fastest, best, found = float("inf"), None, None
for chunk in [64, 512, 4096]:
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = [scores(query, chunk).topk(min(10, documents)).values for query in queries]
        took = time.perf_counter() - start
        if took < fastest:
            fastest, best = took, chunk
values = [float(value) for scores in found for value in scores]
print(json.dumps({"seconds": fastest, "items": QUERIES * documents, "values": values, "chunk": best}))
