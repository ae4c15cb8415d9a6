"""The five experiments of docs/tutorial.md show their classic curves, with every seed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from support.commands import ROOT, swiftkit

sys.path.insert(0, str(ROOT / "benchmarks"))

import tutorial


def test_every_experiment_has_a_claim_and_a_command_in_the_docs() -> None:
    configs = {path.stem for path in (ROOT / "examples" / "tutorial").glob("*.yaml")}
    assert configs == tutorial.CLAIMS.keys()
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for name in configs:
        assert f"swiftkit sft --config examples/tutorial/{name}.yaml" in page


@pytest.mark.parametrize("name", tutorial.CLAIMS)
def test_the_config_of_an_experiment_is_valid(name: str) -> None:
    path = tutorial.CONFIGS / f"{name}.yaml"
    done = swiftkit("sft", "--config", str(path), "--dry_run")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(path.read_text())["model_type"] == "tiny-math"


FALLING = [8 - 0.1 * step for step in range(60)]
RISING = [1.0, *[1.1 + 0.01 * step for step in range(59)]]


@pytest.mark.parametrize(
    ("name", "train", "validation"),
    [
        ("1-failed", FALLING, FALLING),
        ("2-underfitting", RISING, RISING),
        ("3-overfitting", FALLING, FALLING),
        ("4-still-falling", FALLING, [1.0] * 60),
        ("5-done", FALLING, FALLING),
    ],
)
def test_a_claim_does_not_hold_for_other_curves(name: str, train: list[float], validation: list[float]) -> None:
    evaluations = [(step + 1, loss) for step, loss in enumerate(validation)][9::10]
    assert not tutorial.CLAIMS[name](tutorial.Curves(train, evaluations))


@pytest.mark.slow
@pytest.mark.parametrize("seed", tutorial.SEEDS)
@pytest.mark.parametrize("name", tutorial.CLAIMS)
def test_the_curves_are_the_classic_ones(name: str, seed: int, tmp_path: Path) -> None:
    curves = tutorial.trained(name, seed, tmp_path)
    assert tutorial.CLAIMS[name](curves), curves
