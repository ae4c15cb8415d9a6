"""Plugins: the example package, installed and used by real commands; broken packages; folders of the user."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from support.commands import PYTHON, ROOT, SESSION, stdout_json, swiftkit, write_package
from support.models import build
from support.rows import only_run, read_lines, write_rows
from swiftkit import plugins
from swiftkit.data import tasks

EXAMPLE = ROOT / "examples" / "plugin"
DATA_FILES = ("families", "templates", "datasets")


@pytest.fixture(scope="session")
def installed() -> dict[str, str]:
    """The environment in which the example package is installed, by pip, from a copy of its folder."""
    site = SESSION / "site"
    with FileLock(f"{site}.lock"):
        if not site.exists():
            source = shutil.copytree(EXAMPLE, SESSION / "plugin")
            command = [PYTHON, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
            done = subprocess.run([*command, "--target", str(site), str(source)], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    return {"PYTHONPATH": str(site)}


@pytest.fixture(scope="session")
def desk() -> Path:
    """A two-layer model with the plugin's chat template, as its company would publish one."""
    folder = SESSION / "desk"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            partial = build(SESSION / "desk.partial", "qwen2_5")
            shutil.copy(EXAMPLE / "swiftkit_tickets" / "templates" / "tickets.jinja", partial / "chat_template.jinja")
            partial.rename(folder)
    return folder


def listed(*words: str, **environment: str) -> list[dict[str, Any]]:
    done = swiftkit("plugins", "--json", *words, **environment)
    assert done.returncode in (0, 1), done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["plugins"]
    return rows


def test_swiftkits_own_plugins_follow_the_rules() -> None:
    rows = stdout_json(swiftkit("plugins", "--check", "--all", "--json"))["plugins"]
    own_kinds = {*DATA_FILES, *plugins.KINDS} - {"run_checks"}  # there is none yet
    assert {row["kind"] for row in rows} == own_kinds
    assert all(row["owner"] == "swiftkit" and row["problem"] is None for row in rows)
    assert listed() == []


# --- the example package ----------------------------------------------------------------------------------------------


def test_the_example_package_adds_one_of_each_kind(installed: dict[str, str]) -> None:
    rows = listed("--check", **installed)
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("families", "tickets"),
        ("templates", "tickets"),
        ("datasets", "tickets-exam"),
        ("datasets", "tickets"),
        ("formats", "tickets"),
        ("tasks", "last_answer"),
        ("data_checks", "departments"),
        ("scorers", "department"),
        ("trainers", "recorder"),
        ("run_checks", "still_falling"),
        ("engines", "replay"),
        ("targets", "handover"),
    ]
    assert {row["kind"] for row in rows} == {*DATA_FILES, *plugins.KINDS}
    assert [row["problem"] for row in rows] == [None] * 12
    assert {row["owner"] for row in rows} == {"swiftkit-tickets", "swiftkit-tickets 1.0"}
    printed = swiftkit("plugins", "--check", **installed)
    assert printed.returncode == 0
    assert printed.stdout.count("  valid\n") == 12


def test_the_example_packages_loop(installed: dict[str, str], desk: Path) -> None:
    """Family, template, dataset, format, data check, task, run check, scorer, engine, target: by the real commands."""
    checked = stdout_json(swiftkit("models", "check", str(desk), "--json", **installed))
    assert checked["family"] == "tickets"
    assert "tickets-0_5b" in swiftkit("models", "tickets", **installed).stdout
    facts = stdout_json(swiftkit("data", "check", "tickets", "--json", **installed))
    assert facts["datasets"] == [{"dataset": "tickets", "format": "tickets", "rows": 64}]
    found = [finding["text"] for finding in facts["findings"] if "tickets for" in finding["text"]]
    assert found == [
        f"only {count} tickets for {department}"
        for department, count in (("billing", 14), ("sales", 17), ("shipping", 14), ("technical", 19))
    ]

    words = ["--model_type", "tickets-0_5b", "--model_id_or_path", str(desk), "--max_steps", "2"]
    trained = swiftkit("sft", *words, "--task", "last_answer", "--learning_rate", "1e-2", **installed)
    assert trained.returncode == 0, trained.stderr
    run = only_run(Path("output"))
    file = run.read()
    assert (file.record.model.family, file.config.task) == ("tickets", "last_answer")
    assert "note: the validation loss was still falling at the end (train longer: --num_train_epochs)" in trained.stderr
    assert "the validation loss was still falling" in swiftkit("runs", "show", "v0", **installed).stdout

    examined = stdout_json(swiftkit("exam", "--scorer", "department", "--max_new_tokens", "8", "--json", **installed))
    assert (examined["scorer"], examined["engine"], examined["num_questions"]) == ("department", "transformers", 16)
    assert "in_marker" not in {key for key, value in examined.items() if value is not None}

    questions = read_lines(Path(examined["folder"]) / "questions.jsonl")
    replies = [f"This goes to: {q['reference'].partition(': ')[2]}" for q in questions]
    replies[0], replies[1] = "This goes to: nobody", replies[1].partition(": ")[2]
    rows = [{"number": q["number"], "response": r} for q, r in zip(questions, replies, strict=True)]
    write_rows(Path("responses.jsonl"), rows[:-1])
    replay = {**installed, "REPLAY_RESPONSES": str(Path("responses.jsonl").resolve())}
    replayed = stdout_json(swiftkit("exam", "--scorer", "department", "--engine", "replay", "--json", **replay))
    assert replayed["engine"] == "replay"
    assert [replayed[name] for name in ("right", "partial", "wrong", "failed")] == [13, 1, 1, 1]
    assert replayed["score"] == pytest.approx(100 * 13.25 / 16, abs=0.01)
    write_rows(Path("responses.jsonl"), rows[2:])
    replayed = stdout_json(swiftkit("exam", "--scorer", "department", "--engine", "replay", "--json", **replay))
    assert (replayed["new_answers"], replayed["failed"]) == (16, 2), "other responses are another engine key"
    refused = swiftkit("exam", "--scorer", "department", "--engine", "replay", **{**replay, "REPLAY_RESPONSES": ""})
    assert refused.returncode == 2
    assert "$REPLAY_RESPONSES is '', not a file" in refused.stderr

    exported = stdout_json(swiftkit("export", "--to", "handover", "--json", **installed))
    folder = Path(exported["folder"])
    assert (exported["target"], folder.parent) == ("handover", run.path)
    assert (folder / "CARD.md").read_text() == "An adapter for tickets-0_5b.\nChat template: tickets.\n"
    best = run.path / "best" / "adapter_model.safetensors"
    assert (folder / "adapter_model.safetensors").read_bytes() == best.read_bytes()
    assert not stdout_json(swiftkit("export", "--to", "handover", "--json", **installed))["created"]
    refused = swiftkit("export", "--ckpt", "base", "--to", "handover", **installed)
    assert refused.returncode == 2
    assert "base has no adapter to hand over" in refused.stderr


def test_the_task_of_the_example_trains_the_last_answer_only(installed: dict[str, str]) -> None:
    """`data check` counts with the task's own labels, and every other token is the same."""
    turns = [
        ("user", "What is 3 + 4?"),
        ("assistant", "3 + 4 = 7"),
        ("user", "And 5 + 6?"),
        ("assistant", "11"),
    ]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    write_rows(Path("rows.jsonl"), [row])
    words = ["data", "check", "rows.jsonl", "--model_type", "tiny-math", "--dataset_test_ratio", "0", "--json"]
    every = stdout_json(swiftkit(*words, **installed))
    last = stdout_json(swiftkit(*words, "--task", "last_answer", **installed))
    single = stdout_json(swiftkit("data", "show", "rows.jsonl", "--model_type", "tiny-math", "--json", **installed))
    tokens = single["rows"][0]["num_tokens"]
    trained = [span for span in single["rows"][0]["spans"] if span["in_loss"]]
    start = [span["text"] for span in trained].index("<|im_end|>") + 2  # the first answer's end has a newline behind it
    assert "".join(span["text"] for span in trained[start:]) == "11<|im_end|>\n"
    count = sum(len(span["ids"]) for span in trained[start:])
    assert round(every["loss_share"] * tokens) == single["rows"][0]["num_loss_tokens"] > count
    assert round(last["loss_share"] * tokens) == count


def test_the_trainer_of_the_example_records_its_job(installed: dict[str, str]) -> None:
    words = ["sft", "--model_type", "tiny-math", "--dataset", "math-sft#80", "--trainer", "recorder"]
    done = stdout_json(swiftkit(*words, "--recorder.note", "first try", "--json", **installed))
    run = only_run(Path("output"))
    assert (done["state"], done["best"], run.state()) == ("finished", None, "finished")
    assert json.loads((run.path / "recorded.json").read_text()) == {
        "rows": len(read_lines(run.data("train"))),
        "note": "first try",
        "template": "qwen2_5",
    }
    assert run.read().config.trainer_options == {"note": "first try"}
    again = swiftkit("sft", "--config", str(run.config_file), "--dry_run", "--json", **installed)
    assert stdout_json(again)["config"]["trainer_options"] == {"note": "first try"}
    refused = swiftkit(*words, "--recorder.colour", "red", "--swift.neftune_noise_alpha", "5", **installed)
    assert refused.returncode == 2
    assert (
        "--swift.neftune_noise_alpha is an option of the trainer ms_swift, but --trainer is recorder" in refused.stderr
    )
    refused = swiftkit(*words, "--recorder.colour", "red", **installed)
    assert refused.returncode == 2
    assert "the recorder has no option `colour`" in refused.stderr


# --- broken packages --------------------------------------------------------------------------------------------------


GOOD = """
from swiftkit.formats import pair
COLUMNS, OPTIONAL, EXAMPLE = ("ask", "say"), (), {"ask": "a", "say": "b"}
def to_messages(row):
    return pair(row, row["ask"], row["say"])
"""
SCORE = "from swiftkit.scorers import Score\nEXAMPLES = [('a', 'a', 1)]\n"
TASK = """
from swiftkit.data.tasks import Selection
SELECTION = Selection("eval_loss", higher_is_better=False)
EXAMPLE = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
def check(example):
    if not example.messages: raise ValueError("empty")
def encode(examples, encoder): return iter(())
"""


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("formats", "import nothing_of_that_name", "does not import: ModuleNotFoundError"),
        ("formats", "raise SystemError('no licence')", "does not import: SystemError: no licence"),
        ("formats", "COLUMNS = ('a',)", "has no function `to_messages`"),
        ("formats", GOOD.replace('("ask", "say")', "()"), "COLUMNS is not a tuple"),
        ("formats", GOOD.replace('{"ask": "a", "say": "b"}', '{"ask": "a"}'), "EXAMPLE is not a row with the columns"),
        ("formats", GOOD.replace('row["ask"]', 'row["ask"].strip()'), "raise ValueError with the reason"),
        ("formats", GOOD.replace('"say": "b"', '"say": " "'), "the assistant's content is empty"),
        ("formats", GOOD.replace('row["ask"]', 'row["question"]'), "KeyError"),
        ("formats", GOOD.replace('("ask", "say")', "7"), "COLUMNS is not a tuple"),
        ("formats", "import sys\nsys.exit(0)", "does not import: SystemExit"),
        ("scorers", "def score(response, reference, **more): return 1", "EXAMPLES is not a list"),
        ("scorers", f"{SCORE}def score(response, reference, **more): return 1", "not a Score"),
        ("scorers", f"{SCORE}def score(response, reference, **more): return Score(0, 'no')", "EXAMPLES has 1"),
        (
            "scorers",
            f"{SCORE}def score(response, reference, **more): return Score(1.5, 'no')",
            "has no value in [0, 1]",
        ),
        ("scorers", f"{SCORE}COUNTS = ('half',)\ndef score(response, reference, **more): pass", "COUNTS is ('half',)"),
        (
            "scorers",
            f"{SCORE}COUNTS = ('in_marker',)\ndef score(response, reference, **more): return Score(1, 'right')",
            "has no `in_marker` in its metadata",
        ),
        (
            "scorers",
            f"{SCORE}def score(response, reference, **more): return Score(1 if response[0] else 0, 'right')",
            "makes it raise IndexError",
        ),
        ("scorers", f"{SCORE}EXAMPLES = [('a', 'a')]\ndef score(response, reference, **more): pass", "EXAMPLES is not"),
        (
            "scorers",
            f"{SCORE}def stop_key(r): return {{1}}\ndef score(response, reference, **more): return Score(1, 'right')",
            "`stop_key` gives {1}, which JSON cannot hold",
        ),
        ("tasks", TASK.replace("def encode", "def tokenize"), "has no function `encode`"),
        ("tasks", TASK.replace("SELECTION =", "CHOICE ="), "SELECTION is not a swiftkit.data.tasks.Selection"),
        ("tasks", TASK.replace("EXAMPLE =", "ROW ="), "EXAMPLE is not a row"),
        ("tasks", TASK.replace("if not example.messages:", "if False:"), "accepts a conversation without any turn"),
        ("data_checks", "def check(context): return ['few rows']", "it gives 'few rows', not a Finding"),
        ("data_checks", "def check(context): context.examples[0].messages[0]; return ()", "IndexError"),
        ("trainers", "train = 7", "has no function `train`"),
        ("trainers", "def train(job): pass", "`train` cannot be called as train(job, on_event)"),
        ("run_checks", "CHECK = 1", "has no function `check`"),
        ("engines", "def load(): pass", "`load` cannot be called as load(job)"),
        ("targets", "def export(checkpoint): pass", "cannot be called as export(checkpoint, folder, dtype)"),
    ],
)
def test_a_broken_plugin_is_reported_and_affects_no_other_command(
    kind: str, text: str, message: str, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    write_package(site, "broken", {"broken_one": text}, f"[swiftkit.{kind}]\nmine = broken_one\n")
    environment = {"PYTHONPATH": str(site)}
    done = swiftkit("plugins", "--check", "--json", **environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (row,) = json.loads(done.stdout)["plugins"]
    assert (row["kind"], row["name"], row["owner"]) == (kind, "mine", "broken 2.0")
    assert message in row["problem"]


def test_broken_plugins_do_not_stop_other_commands(tmp_path: Path) -> None:
    """Checks that run for every dataset are skipped with a warning; the others are not even imported."""
    site = tmp_path / "site"
    broken = {"broken_one": "import nothing_of_that_name", "broken_two": "def check(context): return 1 / 0"}
    kinds = [kind for kind in plugins.KINDS if kind not in ("data_checks", "formats")]
    entries = "".join(f"[swiftkit.{kind}]\nmine = broken_one\n" for kind in (*kinds, "formats"))
    write_package(site, "broken", broken, f"{entries}[swiftkit.data_checks]\nmine = broken_one\nother = broken_two\n")
    environment = {"PYTHONPATH": str(site)}
    dry_run = swiftkit("sft", "--model_type", "tiny-math", "--dry_run", **environment)
    assert dry_run.returncode == 0, dry_run.stderr
    checked = swiftkit("data", "check", "math-sft", **environment)
    assert checked.returncode == 0, checked.stderr
    assert "skipped: data_checks: `mine` (broken_one, of broken 2.0) does not import" in checked.stderr
    assert "skipped: data check `other` (broken 2.0) raised ZeroDivisionError: division by zero" in checked.stderr


def test_a_name_that_two_packages_claim_is_an_error_only_for_its_users(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_package(site, "one", {"one_format": GOOD}, "[swiftkit.formats]\nmine = one_format\n")
    write_package(site, "two", {"two_format": GOOD}, "[swiftkit.formats]\nmine = two_format\nalpaca = two_format\n")
    environment = {"PYTHONPATH": str(site)}
    refused = swiftkit("data", "check", "math-sft", "--format", "mine", **environment)
    assert refused.returncode == 2
    assert "claimed by one_format (one 2.0) and by two_format (two 2.0)" in refused.stderr
    assert swiftkit("data", "check", "math-sft", **environment).returncode == 0


def test_a_package_whose_data_folders_are_missing_is_skipped(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_package(site, "gone", {}, "[swiftkit.assets]\nmine = nowhere\n")
    assert swiftkit("models", "qwen", PYTHONPATH=str(site)).returncode == 0


# --- folders of the user ----------------------------------------------------------------------------------------------


def copy_data_files(folder: Path) -> Path:
    """The example's data files as a folder for `--registry`."""
    for kind in ("registry", "templates", "datasets"):
        shutil.copytree(EXAMPLE / "swiftkit_tickets" / kind, folder / kind)
    for path in (folder / "datasets").glob("*.yaml"):  # a format is code, which only a package can bring
        path.write_text(path.read_text().replace("format: tickets\n", ""))
    for path in (folder / "datasets").glob("*.jsonl"):
        path.write_text(path.read_text().replace('"ticket"', '"query"').replace('"department"', '"response"'))
    return folder


def test_a_registry_folder_is_used_and_recorded_by_the_run(desk: Path, tmp_path: Path) -> None:
    folder = copy_data_files(tmp_path / "mine")
    rows = listed("--check", "--registry", "mine")
    assert {row["owner"] for row in rows} == {
        str(folder / name)
        for name in (
            *("registry/tickets.yaml", "templates/tickets.jinja"),
            *("datasets/tickets.yaml", "datasets/tickets-exam.yaml"),
        )
    }
    assert all(row["problem"] is None for row in rows)
    words = ["--model_id_or_path", str(desk), "--dataset", "tickets", "--max_steps", "2"]
    done = swiftkit("sft", "--registry", "mine", *words)
    assert done.returncode == 0, done.stderr
    assert only_run(Path("output")).read().config.registry == str(folder)
    # The run records the folder, so export needs no flag; a folder that is gone is named.
    exported = swiftkit("export", "--merge_lora")
    assert exported.returncode == 0, exported.stderr
    folder.rename(tmp_path / "moved")
    gone = swiftkit("export", "--merge_lora", "--overwrite")
    assert gone.returncode == 2
    assert f"--registry: {folder} contains none of these folders" in gone.stderr
    moved = swiftkit("export", "--merge_lora", "--overwrite", "--registry", "moved")
    assert moved.returncode == 0, moved.stderr


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_registry_folder_without_data_is_refused(name: str) -> None:
    Path("empty").mkdir()
    for command in ("models", "plugins"):
        done = swiftkit(command, "--registry", name)
        assert done.returncode == 2
        assert "contains none of these folders: registry, templates, datasets, models" in done.stderr


def test_an_unknown_plugin_is_refused() -> None:
    done = swiftkit("plugins", "nope")
    assert done.returncode == 2
    assert "no plugin is named nope" in done.stderr


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_a_column_of_the_tasks_own_example_type(installed: dict[str, str]) -> None:
    """`num_trained` is a field of the example package's `LastAnswers`; without it, the default is used."""
    turns = [("user", "3 + 4?"), ("assistant", "7"), ("user", "5 + 6?"), ("assistant", "11")]
    messages = [{"role": role, "content": content} for role, content in turns]
    words = ["data", "check", "rows.jsonl", "--model_type", "tiny-math", "--dataset_test_ratio", "0"]

    def share(row: dict[str, Any]) -> float:
        write_rows(Path("rows.jsonl"), [row])
        return float(stdout_json(swiftkit(*words, "--task", "last_answer", "--json", **installed))["loss_share"])

    last, both = share({"messages": messages}), share({"messages": messages, "num_trained": 2})
    assert last < both == stdout_json(swiftkit(*words, "--json", **installed))["loss_share"]
    write_rows(Path("rows.jsonl"), [{"messages": messages, "num_trained": 3}])
    refused = swiftkit(*words, "--task", "last_answer", **installed)
    assert "rows.jsonl:1: num_trained is 3, but the conversation has 2 answers" in refused.stderr


def test_nan_is_never_the_best() -> None:
    for higher_is_better in (True, False):
        selection = tasks.Selection("metric", higher_is_better)
        assert not selection.is_better(math.nan, None)
        assert not selection.is_better(math.nan, 1.0)
        assert selection.is_better(1.0, None)


def test_an_incomplete_task_is_refused_before_training(tmp_path: Path) -> None:
    site = tmp_path / "site"
    incomplete = {"no_check": TASK.replace("def check", "def verify"), "no_choice": TASK.replace("SELECTION", "CHOICE")}
    write_package(site, "one", incomplete, "[swiftkit.tasks]\nno_check = no_check\nno_choice = no_choice\n")
    words = ["sft", "--model_type", "tiny-math", "--dry_run", "--task"]
    assert "task `no_check` has no function `check`" in swiftkit(*words, "no_check", PYTHONPATH=str(site)).stderr
    assert "task `no_choice`: SELECTION is not" in swiftkit(*words, "no_choice", PYTHONPATH=str(site)).stderr


def test_a_metric_that_the_trainer_does_not_report_is_named(tmp_path: Path) -> None:
    site = tmp_path / "site"
    text = f"{TASK}from swiftkit.data.tasks.sft import encode\n".replace("eval_loss", "eval_margin")
    write_package(site, "one", {"by_margin": text}, "[swiftkit.tasks]\nby_margin = by_margin\n")
    words = ["--model_type", "tiny-math", "--dataset", "math-sft#20", "--task", "by_margin", "--max_steps", "2"]
    done = swiftkit("sft", *words, "--eval_steps", "1", PYTHONPATH=str(site))
    assert done.returncode == 1
    assert "the task `by_margin` selects by eval_margin, but an evaluation reports only eval_loss," in done.stderr
