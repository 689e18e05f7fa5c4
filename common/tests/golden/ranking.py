"""Rankings with ties, grades and unjudged documents, and what trec_eval says of them."""

import json
import random

import pytrec_eval

random.seed(20261124)
MEASURES = {"ndcg_cut.1,3,10", "recall.1,3,10", "P.1,3,10", "success.1,3,10", "map_cut.3,10", "recip_rank"}
qrels, run = {}, {}
for number in range(12):
    query = f"q{number}"
    documents = [f"d{i}" for i in range(18)]
    qrels[query] = {d: random.choice([-1, 0, 0, 1, 1, 2, 3]) for d in random.sample(documents, random.randint(3, 12))}
    found = random.sample(documents, random.randint(1, 15))
    run[query] = {d: random.choice([0.25, 0.5, round(random.random(), 3)]) for d in found}
scores = pytrec_eval.RelevanceEvaluator(qrels, MEASURES).evaluate(run)
print(json.dumps({"qrels": qrels, "run": run, "scores": scores}, separators=(",", ":")))
