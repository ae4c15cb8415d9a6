"""Runs of the former file formats are still read: listed, shown, examined, exported, repeated."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.commands import ROOT, stdout_json, swiftkit
from support.rows import read_lines, write_rows
from support.trained import Demo
from swiftkit.chat import template
from swiftkit.system import events
from swiftkit.system.events import Started
from swiftkit.training import curves
from swiftkit.training.run import Run

FORMER_DTYPE = "fp32: this model's own setting"
FORMER_FIELDS = {"started": {"total": "steps"}, "phase": {"phase": "name"}, "best": {"value": "loss"}}


def edit_yaml(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change config and record of a run.yaml."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content["config"], content["record"])
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def to_former_run_yaml(config: dict[str, Any], record: dict[str, Any]) -> None:
    for name in ("trainer", "task"):
        del config[name]
    config["swift"] = config.pop("trainer_options")
    for name in ("dtype_reason", "template"):
        del record[name]
    record["dtype"] = FORMER_DTYPE
    record["device"]["why"] = record["device"].pop("bf16_reason")
    record["tokens"]["learned"] = record["tokens"].pop("loss")
    record["error"] = None


def to_former_event(event: dict[str, Any]) -> dict[str, Any]:
    former = FORMER_FIELDS.get(event["event"], {})
    details = event.get("details", {}) if event["event"] == "started" else {}
    content = {former.get(key, key): value for key, value in event.items() if key not in ("details", "metric")}
    return content | {key: value for key, value in details.items() if key != "trainer"}


def to_former_formats(run: Run) -> Run:
    """Rewrite a run's folder as it was before templates were kept and trainers were plugins."""
    edit_yaml(run.config_file, to_former_run_yaml)
    run.template_file.unlink()
    write_rows(run.events, [to_former_event(event) for event in read_lines(run.events)])
    for part in ("train", "validation"):
        rows = read_lines(run.data(part))
        for row in rows:
            row["lengths"] = row.pop("num_tokens")
        write_rows(run.data(part), rows)
    (run.path / "job.json").write_text(json.dumps({"run": str(run.path), "argv": ["--template", "swiftkit"]}))
    for origin in run.path.glob("merged-*/swiftkit.json"):
        content = json.loads(origin.read_text(encoding="utf-8"))
        for name in ("target", "template"):
            del content[name]
        origin.write_text(json.dumps(content), encoding="utf-8")
    shutil.rmtree(run.path / "exams")
    exam = run.path / "exams" / "math-exam-fae055881dbe"  # one level; its exam.json had other words
    exam.mkdir(parents=True)
    (exam / "exam.json").write_text(json.dumps({"mark": 97.5, "count": 200, "cut": 0, "questions": "math-exam"}))
    return run


@pytest.fixture
def former(home: Path, demo: Demo) -> Run:
    """The demo's run in the former formats."""
    return to_former_formats(Run(home / demo.run.path.relative_to(demo.folder)))


def responses(folder: str | Path) -> list[str]:
    """The responses of an exam, by number, from the folder that its result names."""
    answers = read_lines(Path(folder).parent / "answers.jsonl")
    return [answer["response"] for answer in sorted(answers, key=lambda answer: answer["number"])]


def demo_responses(demo: Demo, kind: str) -> list[str]:
    """The responses of the demo's own exam of a kind of checkpoint."""
    paths = demo.run.path.glob("exams/*/*/exam.json")
    return next(responses(path.parent) for path in paths if json.loads(path.read_text())["kind"] == kind)


# --- read -------------------------------------------------------------------------------------------------------------


def test_a_former_run_is_listed(former: Run, demo: Demo, home: Path) -> None:
    (listed,) = stdout_json(swiftkit("runs", "--json", cwd=home))["runs"]
    (expected,) = stdout_json(swiftkit("runs", "--json", cwd=demo.folder))["runs"]
    assert listed == expected
    assert (listed["state"], listed["rows"]) == ("finished", 936)
    assert former.name in swiftkit("runs", cwd=home).stdout


def test_a_former_run_is_shown(former: Run, demo: Demo, home: Path) -> None:
    shown = stdout_json(swiftkit("runs", "show", "v0", "--json", cwd=home))
    expected = stdout_json(swiftkit("runs", "show", "v0", "--json", cwd=demo.folder))
    assert shown["config"] == expected["config"]
    record = expected["record"]
    assert shown["record"]["tokens"] == record["tokens"]
    assert record["tokens"]["loss"] > 0
    device = {**record["device"], "why": record["device"]["bf16_reason"]}
    del device["bf16_reason"]
    former_only = {"dtype": "fp32", "dtype_reason": "this model's own setting", "template": "", "device": device}
    assert shown["record"] == {**record, **former_only}
    assert shown["best_model_checkpoint"] == expected["best_model_checkpoint"]
    assert shown["findings"] == expected["findings"]
    assert shown["exams"] == []
    text = swiftkit("runs", "show", "v0", cwd=home)
    assert text.returncode == 0, text.stderr
    assert f"validation loss {record['best']['value']:.4f} at step {record['best']['step']}" in text.stdout


def test_former_events_have_the_same_meaning(former: Run, demo: Demo) -> None:
    read, expected = ([*events.read(run.events)] for run in (former, demo.run))
    assert len(read) == len(expected)
    (started,) = [event for event in read if isinstance(event, Started)]
    assert started.total == 40
    assert [event for event in read if event != started] == [e for e in expected if not isinstance(e, Started)]
    assert curves.from_events(events.effective(read)) == curves.from_events(events.effective(expected))
    assert former.state() == "finished"


def test_a_former_run_that_died_is_one_that_crashed(former: Run, home: Path) -> None:
    edit_yaml(former.config_file, lambda config, record: record.update(state="died"))
    (listed,) = stdout_json(swiftkit("runs", "--json", cwd=home))["runs"]
    assert listed["state"] == "crashed"


def test_former_rows_are_read(former: Run, demo: Demo) -> None:
    for part in ("train", "validation"):
        assert former.examples(part) == demo.run.examples(part) != []


def test_former_options_of_ms_swift_are_read(former: Run) -> None:
    edit_yaml(former.config_file, lambda config, record: config.update(swift={"neftune_noise_alpha": 5.0}))
    assert former.read().config.trainer_options == {"neftune_noise_alpha": 5.0}
    done = swiftkit("sft", "--config", str(former.config_file), "--dry_run", "--json")
    planned = stdout_json(done)
    assert planned["config"]["trainer_options"] == {"neftune_noise_alpha": 5.0}
    assert "--neftune_noise_alpha" in planned["command"]


# --- used -------------------------------------------------------------------------------------------------------------


def test_a_former_run_is_examined(former: Run, demo: Demo, home: Path) -> None:
    options = ("--dataset", "ten.jsonl", "--json")
    result = stdout_json(swiftkit("exam", "--ckpt", "best", *options, cwd=home))
    assert (result["kind"], result["run"], result["dtype"]) == ("adapter", str(former.path), "fp32")
    assert responses(result["folder"]) == demo_responses(demo, "adapter")[:10]
    (merged,) = former.path.glob("merged-*")
    again = stdout_json(swiftkit("exam", "--ckpt", str(merged), *options, cwd=home))
    assert (again["kind"], again["score"]) == ("merged", result["score"])


def test_few_shot_examples_come_from_the_former_rows(former: Run, home: Path) -> None:
    options = ("--dataset", "ten.jsonl", "--few_shot", "1", "--max_new_tokens", "1", "--json")
    result = stdout_json(swiftkit("exam", "--ckpt", "best", *options, cwd=home))
    (line, *_) = read_lines(Path(result["folder"]) / "questions.jsonl")
    question, answer, _ = (message["content"] for message in line["messages"])
    rows = [[message["content"] for message in row["messages"]] for row in read_lines(former.data("train"))]
    assert [question, answer] in rows


def test_a_former_run_is_exported(former: Run, demo: Demo, home: Path) -> None:
    """An export of the former version is recognized as the same, and replaced only if that is requested."""
    (merged,) = former.path.glob("merged-*")
    (expected,) = demo.run.path.glob("merged-*")
    assert not stdout_json(swiftkit("export", "--merge_lora", "--json", cwd=home))["created"]
    (merged / "config.json").unlink()
    refused = swiftkit("export", "--merge_lora", cwd=home)
    assert refused.returncode == 2
    assert "this very export, but a file of it is missing or changed" in refused.stderr
    done = swiftkit("export", "--merge_lora", "--overwrite", cwd=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{merged.relative_to(home)}\n"
    for name in ("config.json", "model.safetensors", "chat_template.jinja", "generation_config.json"):
        assert (merged / name).read_bytes() == (expected / name).read_bytes()
    content = json.loads((merged / "swiftkit.json").read_text(encoding="utf-8"))
    assert content["template"]["text"] == template.load("qwen2_5").source


def test_a_former_run_is_repeated(former: Run, demo: Demo, home: Path) -> None:
    planned = stdout_json(swiftkit("sft", "--config", str(former.config_file), "--dry_run", "--json", cwd=home))
    expected = stdout_json(swiftkit("sft", "--config", str(demo.run.config_file), "--dry_run", "--json", cwd=home))
    without_output = [{**content["config"], "output_dir": None} for content in (planned, expected)]
    assert without_output[0] == without_output[1]
    assert (planned["rows"], planned["steps"]) == (expected["rows"], expected["steps"])
    assert planned["config"]["trainer"] == "ms_swift"


# --- with another template --------------------------------------------------------------------------------------------


@pytest.fixture
def own_template(home: Path, demo: Demo, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template of a family of the user's own, with which the run in `home` was trained."""
    monkeypatch.setenv("SWIFTKIT_HOME", str(home))
    for kind in ("registry", "templates"):
        (home / kind).mkdir()
    (home / "registry" / "own.yaml").write_text(
        "template: own\narchitectures: [Qwen2ForCausalLM]\nswift: {model_type: qwen2, template: qwen2_5}\n"
        "lora_targets: [q_proj]\nmodels: {own-math: {}}\n"
    )
    path = Path(shutil.copy(ROOT / "templates" / "qwen2_5.jinja", home / "templates" / "own.jinja"))

    def change(config: dict[str, Any], record: dict[str, Any]) -> None:
        config |= {"model_type": "own-math", "model_id_or_path": str(ROOT / "models" / "tiny-math")}
        record["model"]["family"] = "own"
        assert record["sha256"]["template"] == hashlib.sha256(path.read_bytes()).hexdigest()

    edit_yaml(home / demo.run.path.relative_to(demo.folder) / "run.yaml", change)
    return path


def change_template(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    changed = text.replace("You are a helpful assistant.", "You are a strict teacher.")
    assert changed != text
    path.write_text(changed, encoding="utf-8")


def test_a_former_run_with_a_changed_template_is_refused(own_template: Path, former: Run, home: Path) -> None:
    exam = ("exam", "--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "1")
    export = ("export", "--merge_lora", "--export_dir", "shipped")
    done = swiftkit(*exam, cwd=home)
    assert done.returncode == 0, done.stderr
    change_template(own_template)
    for command in (exam, export):
        refused = swiftkit(*command, cwd=home)
        assert refused.returncode == 2
        assert refused.stdout == ""
        (error,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
        assert error == (
            f"error: the chat template `own` was changed after the training of {former.name}, an older run that did "
            "not keep its text"
        )
        assert "  hint: restore the template file, or train again" in refused.stderr.splitlines()
    assert not (home / "shipped").exists()


def test_a_run_that_kept_its_template_is_examined_with_that(own_template: Path, home: Path) -> None:
    exam = ("exam", "--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "1", "--json")
    before = stdout_json(swiftkit(*exam, cwd=home))
    change_template(own_template)
    after = stdout_json(swiftkit(*exam, cwd=home))
    assert (before["new_answers"], after["new_answers"]) == (10, 0)
    assert after["scores_key"] == before["scores_key"]
