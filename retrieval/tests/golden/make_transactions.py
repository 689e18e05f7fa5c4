"""Golden values of the transaction losses, TF-IDF and isotonic regression: python make_transactions.py OUT"""
import json
import sys

import numpy as np
import torch
from pytorch_metric_learning.losses import SupConLoss
from sentence_transformers.losses import BatchHardTripletLoss, BatchSemiHardTripletLoss
from sentence_transformers.losses.BatchHardTripletLoss import BatchHardTripletLossDistanceFunction as Distance
from sentence_transformers.losses.ContrastiveLoss import SiameseDistanceMetric
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.isotonic import IsotonicRegression

rng = np.random.default_rng(5)
labels = [0, 0, 1, 1, 1, 2, 2, 3, 3, 2]  # each twice or more: the packages count anchors without a positive differently
vectors = rng.normal(size=(len(labels), 6))
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
v, l = torch.tensor(vectors), torch.tensor(labels)


def bare(kind, margin):
    """The loss without a model: only its function of embeddings."""
    loss = kind.__new__(kind)
    torch.nn.Module.__init__(loss)
    loss.triplet_margin, loss.margin, loss.distance_metric = margin, margin, Distance.cosine_distance
    return loss


losses = {
    "hard": bare(BatchHardTripletLoss, 0.3).batch_hard_triplet_loss(l, v).item(),
    "semi_hard": bare(BatchSemiHardTripletLoss, 0.3).batch_semi_hard_triplet_loss(l, v).item(),
    "supervised": SupConLoss(temperature=0.1)(v, l).item(),
}
same = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0])
distance = SiameseDistanceMetric.COSINE_DISTANCE(v[:5], v[5:])
contrastive = 0.5 * (same * distance.pow(2) + (1 - same) * torch.relu(0.5 - distance).pow(2))  # ContrastiveLoss.forward
classes = torch.tensor(rng.normal(size=(4, 6)))
logits = 20 * v @ torch.nn.functional.normalize(classes, dim=1).T
losses["softmax"] = torch.nn.functional.cross_entropy(logits, l).item()
texts = ["merchant bp six ways | vat vr", "merchant bp garage bp", "merchant tesco stores 3298 | location café", "amount 20 to 50"]
query = "merchant bp stores bp six unknown"
tfidf = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+").fit(texts)
row = tfidf.transform([query]).tocoo()
terms = tfidf.get_feature_names_out()
scores = np.round(rng.uniform(size=40), 2)
right = (rng.uniform(size=40) < scores).astype(float)
isotonic = IsotonicRegression(out_of_bounds="clip").fit(scores, right)
asked = np.linspace(-0.1, 1.1, 25)
json.dump(
    {
        "labels": labels,
        "vectors": vectors.tolist(),
        "classes": classes.tolist(),
        "losses": losses,
        "contrastive": {"distance": distance.tolist(), "same": same.tolist(), "values": contrastive.tolist()},
        "tfidf": {"texts": texts, "query": query, "terms": terms.tolist(), "row": {terms[c]: float(x) for c, x in zip(row.col, row.data)}},
        "isotonic": {"scores": scores.tolist(), "right": right.tolist(), "asked": asked.tolist(), "values": isotonic.predict(asked).tolist()},
    },
    open(sys.argv[1], "w"),
)
