"""`swiftkit runs`: what was trained, and what became of it."""

from __future__ import annotations

import json
from typing import Any

from swiftkit import examining, paths, runs
from swiftkit.config import RunsConfig
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.flags import Given, build
from swiftkit.log import table
from swiftkit.progress import span

CONFIG = RunsConfig
EPILOG = """\
examples:
  swiftkit runs
  swiftkit runs qwen
  swiftkit runs show v0
  swiftkit runs show qwen2_5-1_5b-instruct/v0-20261121-160926 --json"""


def run(given: Given, problems: Problems) -> int:
    """List or show; returns the exit code."""
    problems.raise_any()
    config = build(RunsConfig, given)
    output = paths.typed(config.output_dir, "--output_dir")
    if config.words[:1] == ["show"]:
        if len(config.words) != 2:
            raise SwiftkitError("`swiftkit runs show` takes one run", "`swiftkit runs` lists them")
        return _show(runs.find(output, config.words[1]), config.json_)
    found = [_summary(r) for r in runs.listed(output) if all(word in r.name for word in config.words)]
    if config.json_:
        print(json.dumps({"runs": found}))
    elif found:
        head = ["run", "state", "steps", "rows", "best loss", "at step", "time"]
        print(table(head, [_cells(summary) for summary in found]))
    else:
        print(f"no runs under {output}" + (f" with {' and '.join(config.words)}" if config.words else ""))
    return 0


def _summary(found: runs.Run, *, whole: bool = False) -> dict[str, Any]:
    record = found.declared()["record"]
    best = found.best(quick=not whole)
    return {
        "run": found.name,
        "path": str(found.path),
        "state": runs.state(found),
        "steps": record.get("steps"),
        "rows": (record.get("rows") or {}).get("train"),
        "best": {"step": best["step"], "value": best["value"]} if best else None,
        "seconds": record.get("seconds"),
    }


def _cells(summary: dict[str, Any]) -> list[str]:
    best = summary["best"]
    return [
        summary["run"],
        summary["state"],
        str(summary["steps"]),
        str(summary["rows"]),
        f"{best['value']:.4f}" if best else "-",
        str(best["step"]) if best else "-",
        span(summary["seconds"]) if summary["seconds"] else "-",
    ]


def _show(found: runs.Run, wants_json: bool) -> int:
    summary = _summary(found, whole=True)
    content = found.declared()
    last = found.last()
    files = {
        "best_model_checkpoint": str(found.path / "best") if summary["best"] else None,
        "last_model_checkpoint": str(last) if last else None,
    }
    finished = examining.finished(found.path)
    if wants_json:
        told = [{**done.mark.record(), "folder": str(done.files.path)} for done in finished]
        print(json.dumps({**summary, **files, **content, "exams": told}))
        return 0
    config, record = content["config"], content["record"]
    best = summary["best"]
    shown = {
        "run": found.path,
        "state": summary["state"] + (f": {record['error']}" if record.get("error") else ""),
        "model": config.get("model_type") or config.get("model_id_or_path"),
        "data": f"{', '.join(config.get('dataset', []))} ({summary['rows']} rows)",
        "trained": "all weights" if config.get("sft_type") == "full" else f"LoRA of rank {config.get('lora_rank')}",
        "best": f"validation loss {best['value']:.4f} at step {best['step']} of {summary['steps']}" if best else None,
        **files,
        "curves": found.path / "curves.png" if (found.path / "curves.png").is_file() else None,
        "started": record.get("started"),
        "took": span(record["seconds"]) if record.get("seconds") else None,
        "again": f"swiftkit sft --config {found.config}",
    }
    rows = [[key, str(value)] for key, value in shown.items() if value]
    for done in finished:
        mark = f"{done.mark.value:.1f} of 100 ({done.mark.low:.1f} to {done.mark.high:.1f})"
        rows.append(["exam", f"{mark} on {done.told['questions']}, {done.told['kind']} of step {done.told['step']}"])
    print(table([], rows))
    return 0
