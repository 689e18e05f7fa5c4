"""fast-plaid on the inputs that `peer_plaid` wrote.

Arguments: build|search DOCUMENTS BITS NPROBE THRESHOLD CANDIDATES WORK (it has no threshold that a caller could set).
"""
import json
import os
import sys
import time

import numpy as np
import torch
from fast_plaid import search

what, documents, bits, nprobe, _, candidates, work = sys.argv[1:]
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
torch.set_num_threads(THREADS)
torch.set_grad_enabled(False)
WIDTH, TOKENS, QUERY_TOKENS, REPEATS = 128, 100, 32, 5


def main():
    folder = f"{work}/fast-{documents}-{bits}.index"
    index = search.FastPlaid(index=folder, device="cpu")
    if what == "build":
        values = np.fromfile(f"{work}/plaid-{documents}.documents", dtype="<f4")
        vectors = torch.from_numpy(values.reshape(-1, TOKENS, WIDTH))
        start = time.perf_counter()
        index.create(documents_embeddings=list(vectors), nbits=int(bits), seed=42)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "items": values.size // WIDTH, "values": []}))
        return
    values = np.fromfile(f"{work}/plaid-{documents}.queries", dtype="<f4")
    queries = torch.from_numpy(values.reshape(-1, QUERY_TOKENS, WIDTH))
    fastest, found = float("inf"), None
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = index.search(
            queries_embeddings=queries,
            top_k=10,
            n_ivf_probe=int(nprobe),
            n_full_scores=int(candidates),
            show_progress=False,
            n_processes=1,
        )
        fastest = min(fastest, time.perf_counter() - start)
    exact = json.load(open(f"{work}/plaid-{documents}.exact"))
    hits = sum(len(set(e) & {document for document, _ in f}) for e, f in zip(exact, found))
    recall = hits / (10 * len(queries))
    answer = {"seconds": fastest, "items": len(queries), "values": [recall], "recall_at_10": recall}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
