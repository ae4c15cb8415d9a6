"""`swiftkit runs`: what was trained, and how it ended."""

from __future__ import annotations

import json
from typing import Any

from swiftkit import files
from swiftkit.config.fields import Config, flag
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.exams.result import ExamResult, list_results
from swiftkit.system.console import table
from swiftkit.system.progress import format_duration
from swiftkit.training import checks
from swiftkit.training.run import Run, RunFile, find_run, list_runs

EPILOG = """\
examples:
  swiftkit runs
  swiftkit runs qwen
  swiftkit runs show v0
  swiftkit runs show qwen2_5-1_5b-instruct/v0-20261121-160926 --json"""


class RunsConfig(Config):
    """List the runs, or show one."""

    words: list[str] = flag(
        [],
        "List only runs whose names contain these words; or `show RUN`.",
        "Selection",
        metavar="WORD",
        positional=True,
        shown="all",
    )
    output_dir: str = flag("output", "Folder for all runs.", "Selection", metavar="FOLDER")


CONFIG = RunsConfig


def run(config: RunsConfig, problems: Problems) -> int:
    """List or show; returns the exit code."""
    problems.raise_any()
    output = files.parse_path(config.output_dir, "--output_dir")
    if config.words[:1] == ["show"]:
        if len(config.words) != 2:
            raise SwiftkitError("`swiftkit runs show` takes one run", "`swiftkit runs` lists them")
        _show(find_run(output, config.words[1]), config.json_)
        return 0
    summaries = [_summary(r, quick=True) for r in list_runs(output) if all(word in r.name for word in config.words)]
    if config.json_:
        print(json.dumps({"runs": summaries}))
    elif summaries:
        head = ["run", "state", "steps", "rows", "best value", "at step", "time"]
        print(table(head, [_cells(summary) for summary in summaries]))
    else:
        print(f"no runs under {output}" + (f" with {' and '.join(config.words)}" if config.words else ""))
    return 0


def _summary(run: Run, *, quick: bool) -> dict[str, Any]:
    """A run in a few values; `quick` does not read the best checkpoint's files."""
    record = run.read().record
    best = run.best(quick=quick)
    return {
        "run": run.name,
        "path": str(run.path),
        "state": run.state(),
        "steps": record.steps,
        "rows": record.rows.train or None,
        "best": best.model_dump(exclude={"sha256"}) if best else None,
        "seconds": record.seconds,
    }


def _cells(summary: dict[str, Any]) -> list[str]:
    best = summary["best"]
    return [
        summary["run"],
        summary["state"],
        str(summary["steps"] or "-"),
        str(summary["rows"] or "-"),
        f"{best['value']:.4f}" if best else "-",
        str(best["step"]) if best else "-",
        format_duration(summary["seconds"]) if summary["seconds"] else "-",
    ]


def _show(run: Run, as_json: bool) -> None:
    summary, file, last = _summary(run, quick=False), run.read(), run.last()
    checkpoints = {
        "best_model_checkpoint": str(run.path / "best") if summary["best"] else None,
        "last_model_checkpoint": str(last) if last else None,
    }
    results, findings = list_results(run.path), checks.analyze(run)
    if as_json:
        content = {
            **summary,
            **checkpoints,
            "config": file.config.model_dump(mode="json", exclude_none=True) if file.is_valid else None,
            "record": file.record.model_dump(mode="json", exclude_none=True) if file.is_valid else None,
            "exams": [{**result.model_dump(mode="json"), "folder": str(result.folder)} for result in results],
            "findings": [vars(finding) for finding in findings],
        }
        print(json.dumps(content))
        return
    rows = [[key, str(value)] for key, value in _details(run, summary, checkpoints).items() if value]
    rows += [["exam", _exam_line(result)] for result in results]
    rows += [["note", finding.text + (f" ({finding.hint})" if finding.hint else "")] for finding in findings]
    print(table([], rows))


def _details(run: Run, summary: dict[str, Any], checkpoints: dict[str, Any]) -> dict[str, Any]:
    file = run.read()
    record, best = file.record, run.best(quick=True) if summary["best"] else None
    return {
        "run": run.path,
        "state": summary["state"] + (f": {record.error}" if record.error else ""),
        **(_settings(file, summary) if file.is_valid else {"note": "run.yaml cannot be read"}),
        "best": f"{best} of {summary['steps'] or 'unknown'}" if best else None,
        **checkpoints,
        "curves": run.curves if run.curves.is_file() else None,
        "started": record.started,
        "duration": format_duration(record.seconds) if record.seconds else None,
        "repeat": f"swiftkit sft --config {run.config_file}" if file.is_valid else None,
    }


def _settings(file: RunFile, summary: dict[str, Any]) -> dict[str, str | None]:
    """What was trained on what."""
    config = file.config
    return {
        "model": config.model_type or config.model_id_or_path,
        "data": f"{', '.join(config.dataset)} ({summary['rows'] or 'unknown number of'} rows)",
        "trained": "all weights" if config.sft_type == "full" else f"LoRA of rank {config.lora_rank}",
    }


def _exam_line(result: ExamResult) -> str:
    low, high = result.interval
    return (
        f"{result.score:.1f} of 100 ({low:.1f} to {high:.1f}) on {result.dataset}, {result.num_questions} questions, "
        f"{result.kind} at step {result.step}"
    )
