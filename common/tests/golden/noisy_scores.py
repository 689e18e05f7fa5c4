"""Scores of real tags with noise by seqeval, conlleval and nervaluate; prints noisy_scores.json.

Usage: noisy_scores.py DATA. The gold tags are those of DATA/wnut17/emerging.test.annotated. Of all words, number i gets another
tag when (i · 2654435761 mod 2³²) mod 100 < 8: number (i · 40503 mod 2¹⁶) mod n of the sorted tags of the scheme, O among them.
"""
import json
import sys
from importlib.metadata import version

import conlleval
from nervaluate import Evaluator
from seqeval import scheme as schemes
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as default_scores
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores

PREFIXES = {"IOB1": "BI", "IOB2": "BI", "IOE1": "EI", "IOE2": "EI", "IOBES": "BEIS", "BILOU": "BILU"}


def read(path):
    sentences, tags = [], []
    for line in open(path, encoding="utf-8"):
        if line.strip():
            tags.append(line.rstrip("\n").split("\t")[1])
        elif tags:
            sentences.append(tags)
            tags = []
    return sentences + ([tags] if tags else [])


def spans(tags):
    found = []
    for i, tag in enumerate(tags + ["O"]):
        if found and found[-1][1] is None and not tag.startswith("I-"):
            found[-1][1] = i
        if tag.startswith("B-"):
            found.append([i, None, tag[2:]])
    return found


def encode(entities, n, scheme):
    tags = ["O"] * n
    for k, (start, end, kind) in enumerate(entities):
        after = k > 0 and entities[k - 1][1] == start and entities[k - 1][2] == kind
        before = k + 1 < len(entities) and entities[k + 1][0] == end and entities[k + 1][2] == kind
        for i in range(start, end):
            first, last = i == start, i + 1 == end
            prefix = {
                "IOB1": "B" if first and after else "I",
                "IOB2": "B" if first else "I",
                "IOE1": "E" if last and before else "I",
                "IOE2": "E" if last else "I",
                "IOBES": "S" if first and last else "B" if first else "E" if last else "I",
                "BILOU": "U" if first and last else "B" if first else "L" if last else "I",
            }[scheme]
            tags[i] = f"{prefix}-{kind}"
    return tags


def noisy(sentences, scheme, kinds):
    every = sorted(["O"] + [f"{p}-{k}" for p in PREFIXES[scheme] for k in kinds])
    i, out = -1, []
    for tags in sentences:
        row = []
        for tag in tags:
            i += 1
            row.append(every[i * 40503 % 2**16 % len(every)] if i * 2654435761 % 2**32 % 100 < 8 else tag)
        out.append(row)
    return out


def averages(score, gold, predicted, **more):
    return {a: [float(x) for x in score(gold, predicted, average=a, zero_division=0, **more)[:3]]
            for a in ("micro", "macro", "weighted")}


def dictionaries(tags):
    rows = []
    for row in tags:
        found = schemes.Tokens(row, schemes.IOB2).entities
        rows.append([{"label": e.tag, "start": e.start, "end": e.end - 1} for e in found])
    return rows


source = read(f"{sys.argv[1]}/wnut17/emerging.test.annotated")
kinds = sorted({kind for tags in source for _, _, kind in spans(tags)})
result = {"versions": {p: version(p) for p in ("seqeval", "conlleval", "nervaluate")}, "schemes": {}}
for scheme in PREFIXES:
    gold = [encode(spans(tags), len(tags), scheme) for tags in source]
    predicted = noisy(gold, scheme, kinds)
    case = {"strict": averages(strict_scores, gold, predicted, scheme=getattr(schemes, scheme))}
    if scheme != "BILOU":  # seqeval's default mode does not know U and L
        case["default"] = averages(default_scores, gold, predicted)
    if scheme in ("IOB1", "IOB2", "IOE1", "IOE2", "IOBES"):
        lines = [f"w {g} {p}" for gs, ps in zip(gold, predicted) for g, p in [*zip(gs, ps), ("O", "O")]]
        found = conlleval.evaluate(lines)
        case["conlleval"] = {
            "overall": found["overall"]["chunks"]["evals"],
            "types": {k: v["evals"] for k, v in found["slots"]["chunks"].items()},
        }
    if scheme == "IOB2":
        overlap = Evaluator(dictionaries(gold), dictionaries(predicted), tags=kinds, loader="dict").evaluate()["overall"]
        case["nervaluate"] = {
            name: [r.correct, r.incorrect, r.partial, r.missed, r.spurious, r.precision, r.recall, r.f1]
            for name, r in overlap.items()
        }
    result["schemes"][scheme] = case
print(json.dumps(result))
