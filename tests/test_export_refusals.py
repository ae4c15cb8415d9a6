"""Exports that are refused: adapters that cannot be merged, other base models, unknown targets, bad options."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, swiftkit
from support.models import build, lora


@pytest.fixture(scope="module")
def adapter(family_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the two-layer Qwen2.5."""
    return lora(family_folder("qwen2_5"), tmp_path_factory.mktemp("adapter") / "adapter")


def export(
    base: Path, adapter: Path, *words: str, name: str = "qwen2_5-0_5b-instruct"
) -> subprocess.CompletedProcess[str]:
    """Export an adapter on a base of the model type `name`."""
    return swiftkit("export", "--ckpt", str(adapter), "--model_type", name, "--model_id_or_path", str(base), *words)


@pytest.mark.parametrize(
    ("options", "unsupported"),
    [
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
    ],
)
def test_adapter_with_more_than_two_factors_is_refused(
    options: dict[str, Any], unsupported: str, family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    base = family_folder("qwen2_5")
    adapter = lora(base, tmp_path / "adapter", targets=["q_proj", "v_proj"], **options)
    done = export(base, adapter, "--merge_lora", "--export_dir", "merged")
    assert done.returncode == 2
    assert f"cannot be merged: {unsupported}" in done.stderr
    assert not Path("merged").exists()


def test_adapter_of_another_shape_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other", "qwen2_5", hidden_size=32, intermediate_size=48)
    done = export(other, adapter, "--merge_lora")
    assert done.returncode == 2
    assert "does not fit the base model" in done.stderr
    assert "32 in the base" in done.stderr


def test_adapter_of_another_architecture_is_refused(family_folder: Callable[[str], Path], adapter: Path) -> None:
    done = export(family_folder("phi3"), adapter, "--merge_lora", name="phi3-4b-4k-instruct")
    assert done.returncode == 2
    assert "the base has no such layer" in done.stderr


def test_adapter_whose_base_is_gone_is_refused(family_folder: Callable[[str], Path], tmp_path: Path) -> None:
    base = Path(shutil.copytree(family_folder("qwen2_5"), tmp_path / "base"))
    adapter = lora(base, tmp_path / "adapter")
    shutil.rmtree(base)
    done = swiftkit("export", "--ckpt", str(adapter), "--merge_lora")
    assert done.returncode == 2
    assert f"is gone: {base}" in done.stderr
    assert "--model_id_or_path" in done.stderr


@pytest.mark.parametrize("folder", ["/some/folder", "./folder", "~/folder", "some/folder"])
def test_folder_as_target_is_refused_with_the_option_for_it(
    folder: str, family_folder: Callable[[str], Path], adapter: Path
) -> None:
    done = export(family_folder("qwen2_5"), adapter, "--to", folder)
    assert done.returncode == 2
    assert f"no export target is named `{folder}`" in done.stderr
    assert f"a folder is named with --export_dir {folder}" in done.stderr


@pytest.mark.parametrize(("name", "hint"), [("onnx", "known: merged"), ("mergd", "did you mean `merged`?")])
def test_unknown_target_is_refused_with_the_known_ones(
    name: str, hint: str, family_folder: Callable[[str], Path], adapter: Path
) -> None:
    done = export(family_folder("qwen2_5"), adapter, "--to", name, "--export_dir", "exported")
    assert done.returncode == 2
    assert f"no export target is named `{name}`" in done.stderr
    assert f"hint: {hint}" in done.stderr
    assert not Path("exported").exists()


def test_merge_lora_and_another_target_are_refused(family_folder: Callable[[str], Path], adapter: Path) -> None:
    done = export(family_folder("qwen2_5"), adapter, "--merge_lora", "--to", "onnx")
    assert done.returncode == 2
    assert "--merge_lora means --to merged, but --to is onnx" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no run"),
        (["--merge_lora"], "there is no run"),
        (["--merge_lora", "--ckpt", "v0"], "no run is named `v0`"),
        (["--merge_lora", "--ckpt", "output/nothing/v0-x/checkpoint-9"], "does not exist"),
        (["--merge_lora", "--ckpt", "base"], "there is no run"),
        (["--merge_lora", "--model_type", "tiny-math"], "there is no run"),
        (["--merge_lora", "--ckpt", "."], "contains neither an adapter"),
        (["--merge_lora", "--ckpt", str(ROOT / "models" / "tiny-math")], "without an adapter"),
        (["--merge_lora", "--to"], "--to needs a value"),
        (["--merge_lora", "--ckpt", ""], "--ckpt needs a value"),
        (["--merge_lora", "--ckpt", "~user-without-a-home/x"], "is not a usable path"),
        (["--merge_lora", "--ckpt", "a" * 300], "is not a usable path"),
        (["--merge_lora", "--quant_bits", "4"], "training on quantized weights is not supported yet"),
        (["--merge_lora", "--batch_size", "4"], "it is an option of `swiftkit sft`"),
    ],
)
def test_bad_options_are_refused(words: list[str], message: str) -> None:
    done = swiftkit("export", *words)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
