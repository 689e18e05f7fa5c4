"""Scores of noisy tag sequences by seqeval's default mode; writes seqeval.json."""
import json
import random

from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

random.seed(7)
TYPES = ["PER", "LOC", "ORG"]
PREFIXES = {"iob2": "BI", "iobes": "BIES"}


def sentence(scheme):
    tags = []
    while len(tags) < random.randint(1, 25):
        if random.random() < 0.7:
            tags.append("O")
            continue
        kind, n = random.choice(TYPES), random.randint(1, 4)
        body = ["B"] + ["I"] * (n - 1)
        if scheme == "iobes":
            body = ["S"] if n == 1 else ["B"] + ["I"] * (n - 2) + ["E"]
        tags += [f"{p}-{kind}" for p in body]
    return tags


def noisy(tags, scheme):
    every = ["O"] + [f"{p}-{t}" for p in PREFIXES[scheme] for t in TYPES]
    return [random.choice(every) if random.random() < 0.15 else tag for tag in tags]


cases = []
for scheme in PREFIXES:
    gold = [sentence(scheme) for _ in range(60)]
    predicted = [noisy(tags, scheme) for tags in gold]
    averages = {
        name: [float(x) for x in precision_recall_fscore_support(gold, predicted, average=name, zero_division=0)[:3]]
        for name in ("micro", "macro", "weighted")
    }
    cases.append({"scheme": scheme, "gold": gold, "predicted": predicted, "averages": averages})
json.dump(cases, open("seqeval.json", "w"), separators=(",", ":"))
