"""Golden objectives of liblinear (scikit-learn 1.5.2): python svm.py > svm.json

Features are made from a formula that the test repeats, so that only the results are stored.
"""
import json
import numpy as np
from sklearn.svm import LinearSVC

N, D = 160, 40


def features():
    state, values = 12345, []
    for _ in range(N * D):
        state = (state * 1103515245 + 12345) % 2**31
        values.append(state / 2**31 - 0.5)
    x = np.array(values).reshape(N, D)
    x[: N // 4, 0] += 0.4
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)


x, y = features(), np.array([1] * (N // 4) + [-1] * (N - N // 4))
cases = []
for loss in ("hinge", "squared_hinge"):
    for cost in (0.1, 1.0, 10.0):
        machine = LinearSVC(loss=loss, C=cost, dual=True, tol=1e-10, max_iter=2_000_000, intercept_scaling=1.0).fit(x, y)
        w, b = machine.coef_[0], machine.intercept_[0]
        short = np.maximum(0, 1 - y * (x @ w + b))
        value = 0.5 * (w @ w + b * b) + cost * (short if loss == "hinge" else short**2).sum()
        cases.append({"loss": loss, "cost": cost, "objective": value, "bias": b, "weights": w[:5].tolist()})
print(json.dumps(cases))
