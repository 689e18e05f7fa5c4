"""Every document scored on one thread by a peer: torch in chunks, or maxsim-cpu.

Arguments: PEER DOCUMENTS WORK; PEER is `torch` (a product of 512 documents with the query, then the maximum over tokens;
the fastest of the chunk sizes tried) or `maxsim-cpu`. Reads what `peer_maxsim` wrote.
"""
import json
import sys
import time

import numpy as np

peer, documents, work = sys.argv[1:]
documents = int(documents)
WIDTH, TOKENS, QUERIES, QUERY_TOKENS, REPEATS = 128, 100, 4, 32, 5
vectors = np.fromfile(f"{work}/maxsim-{documents}.documents", dtype="<f4").reshape(documents, TOKENS, WIDTH)
queries = np.fromfile(f"{work}/maxsim.queries", dtype="<f4").reshape(QUERIES, QUERY_TOKENS, WIDTH)

if peer == "torch":
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    rows, asked = torch.from_numpy(vectors), torch.from_numpy(queries)

    def scores(query, chunk):
        parts = []
        for start in range(0, documents, chunk):
            part = rows[start : start + chunk].reshape(-1, WIDTH) @ query.T
            parts.append(part.view(-1, TOKENS, QUERY_TOKENS).amax(1).sum(1))
        return torch.cat(parts)

    def search(chunk):
        return [scores(query, chunk).topk(10).values.numpy() for query in asked]

    variants = [64, 512, 4096]
else:
    import maxsim_cpu

    def search(_):
        found = [maxsim_cpu.maxsim_scores(query, vectors) for query in queries]
        return [np.sort(scores)[::-1][:10] for scores in found]

    variants = [None]

fastest, best = float("inf"), None
for variant in variants:
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = search(variant)
        took = time.perf_counter() - start
        if took < fastest:
            fastest, best = took, variant
values = [float(value) for scores in found for value in scores]
print(json.dumps({"seconds": fastest, "items": QUERIES * documents, "values": values, "variant": best}))
