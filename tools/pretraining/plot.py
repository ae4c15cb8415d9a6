"""The picture of a pre-training."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

from datagen import problems, problems_zh


def save_plot(log: Path, name: str) -> None:
    """Plot loss and shares of solved problems over the steps, next to the log with the suffix `.png`."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    checks = [event for event in events if event["event"] == "check"]
    figure, loss_axis = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    loss_axis.semilogy([step["step"] for step in steps], [step["answer_loss"] for step in steps], color="tab:blue")
    loss_axis.set(xlabel="step", ylabel="loss of responses (nats per token)", title=f"pre-training of {name}")
    solved_axis = loss_axis.twinx()
    new_types = {t.__name__ for t in problems.NEW} | {f"{t.__name__}_zh" for t in problems_zh.NEW}
    for label, is_new, color in (("pre-trained types", False, "tab:green"), ("new types", True, "tab:red")):
        shares = [[v for k, v in check["solved"].items() if (k in new_types) == is_new] for check in checks]
        percentages = [100 * sum(values) / len(values) for values in shares]
        solved_axis.plot([check["step"] for check in checks], percentages, "o-", color=color, label=label)
    solved_axis.set(ylabel="% solved", ylim=(-3, 103))
    solved_axis.legend(loc="center right")
    figure.savefig(log.with_suffix(".png"), dpi=110)
    pyplot.close(figure)
