"""Entity scores by seqeval of the tags in WORK/scoring.json."""
import json
import sys
import time

from seqeval.metrics import classification_report

data = json.load(open(f"{sys.argv[1]}/scoring.json"))
start = time.perf_counter()
report = classification_report(data["gold"], data["predicted"], output_dict=True, zero_division=0)
seconds = time.perf_counter() - start
averages = [report[f"{name} avg"] for name in ("micro", "macro", "weighted")]
values = [float(a[key]) for a in averages for key in ("precision", "recall", "f1-score")]
print(json.dumps({"seconds": seconds, "items": sum(map(len, data["gold"])), "values": values}))
