"""Rows as people have them: what is learned is what the file says, or the file is refused with the way out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from support.commands import ROOT, shared, stdout_json, swiftkit
from support.refused import refused
from support.rows import events_of, only_run, read_lines, write_rows
from swiftkit import plugins
from swiftkit.chat import template
from swiftkit.config.options import DataOptions
from swiftkit.data import catalog, columns, formats, pipeline, split
from swiftkit.data.formats import question_answer
from swiftkit.data.pipeline import LoadedExamples
from swiftkit.data.split import TokenizedExample
from swiftkit.data.tasks import sft
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.models.context import ModelContext
from swiftkit.models.resolve import resolve_model
from swiftkit.schema import IGNORED, Example
from swiftkit.system.events import Step

TINY = ("--model_type", "tiny-math")
TABLE = [line.split("\t") for line in (ROOT / "tests" / "rows.tsv").read_text(encoding="utf-8").split("\n")[1:-1]]


def load(name: str | Path, **options: Any) -> LoadedExamples:
    problems = Problems()
    loaded = pipeline.load_examples([str(name)], DataOptions(**options), problems)
    problems.raise_any()
    return loaded


def loss_texts(example: Example) -> list[str]:
    """The texts of an example that have loss."""
    if example.text is not None:
        return [example.text]
    answers = [(i, m["content"]) for i, m in enumerate(example.messages) if m["role"] == "assistant"]
    return [content for index, content in answers if index not in example.masked]


def turns(example: Example) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in example.messages]


# --- the files of the collection --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "outcome", "expected", "first"), [line[:4] for line in TABLE])
def test_every_file_of_the_collection(name: str, outcome: str, expected: str, first: str) -> None:
    """Accepted with exactly these learned characters, or refused with these words; the table has the reasons."""
    path = shared("data/rows") / name
    problems = Problems()
    loaded = pipeline.load_examples([str(path)], DataOptions(), problems)
    messages = [problem.message for problem in problems.found]
    if outcome == "refused":
        assert messages, f"it was accepted: {turns(loaded.examples[0])}"
        assert expected in messages[0].replace("\t", "⇥")
        assert all(len(message) < 1000 for message in messages)
        return
    assert not messages
    texts = [loss_texts(example) for example in loaded.examples]
    assert f"{len(texts)} rows, {sum(len(text) for row in texts for text in row)} characters" == expected
    assert texts[0] == json.loads(first)


def test_the_table_has_every_file() -> None:
    index = (shared("data/rows") / "INDEX.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert {line.split("\t")[0] for line in index} == {line[0] for line in TABLE}


def test_the_table_of_formats_in_the_documentation_is_generated() -> None:
    """`UPDATE_DOCS=1 pytest` writes it, from the formats' own layouts and examples."""
    lines = ["| format | columns | example |", "|---|---|---|"]
    for name in plugins.names("formats"):
        module = plugins.module("formats", name)
        layouts = "; ".join(", ".join(f"`{column}`" for column in layout) for layout in formats.layouts(module))
        example = json.dumps(module.EXAMPLE, ensure_ascii=False).replace("|", "\\|")
        lines.append(f"| {name} | {layouts} | `{example}` |")
    table = "\n".join(lines)
    page = ROOT / "docs" / "data.md"
    before, start, rest = page.read_text(encoding="utf-8").partition("(UPDATE_DOCS=1) -->\n")
    written, after = rest.split("<!-- end -->")
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(f"{before}{start}{table}\n<!-- end -->{after}", encoding="utf-8")
        return
    assert written == f"{table}\n"


# --- columns ----------------------------------------------------------------------------------------------------------

QUESTION, ANSWER = "What is 2 + 3?", "5"


@pytest.mark.parametrize(
    ("further", "expected"),
    [
        ({"context": "Numbers."}, f"Numbers.\n\n{QUESTION}"),
        ({"schema": "CREATE", "documents": ["a", {"text": "b"}]}, f"CREATE\n\na\n\nb\n\n{QUESTION}"),
        ({"choices": ["4", "5"]}, f"{QUESTION}\nA. 4\nB. 5"),
        ({"options": {"A": "4", "B": "5", "C": None}}, f"{QUESTION}\nA. 4\nB. 5"),
        ({"choices": {"label": ["1", "2"], "text": ["4", "5"]}}, f"{QUESTION}\n1. 4\n2. 5"),
        ({"context": "", "choices": None}, QUESTION),
    ],
)
def test_columns_beside_a_question_are_put_into_it(tmp_path: Path, further: dict[str, Any], expected: str) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"question": QUESTION, "answer": ANSWER, **further}])
    (example,) = load(path).examples
    assert turns(example) == [("user", expected), ("assistant", ANSWER)]


@pytest.mark.parametrize(("answer", "expected"), [(1, "B"), ("B", "B"), ("five", "five"), (0, "A")])
def test_the_number_of_a_choice_becomes_its_letter(tmp_path: Path, answer: Any, expected: str) -> None:
    row = {"question": QUESTION, "choices": ["four", "five"], "answer": answer}
    assert loss_texts(load(write_rows(tmp_path / "rows.jsonl", [row])).examples[0]) == [expected]
    for unclear in (7, 2):
        row = {"question": QUESTION, "choices": ["1", "2", "3"], "answer": unclear}
        with pytest.raises(SwiftkitError, match=f"the answer {unclear}"):
            load(write_rows(tmp_path / "rows.jsonl", [row]))


@pytest.mark.parametrize("value", [False, 0, 0.0, "0", "False", "no", "0.0"])
@pytest.mark.parametrize("name", columns.FLAGS)
def test_a_flag_of_a_bad_answer_means_the_same_however_it_is_written(tmp_path: Path, name: str, value: Any) -> None:
    rows = [{"query": f"q{i}", "response": "a", name: value if i else True} for i in range(4)]
    with pytest.raises(SwiftkitError, match=rf"rows.jsonl:2: `{name}` says that .* not desirable.* \(3 such rows\)"):
        load(write_rows(tmp_path / "rows.jsonl", rows))
    rows = [{**row, name: ("spam", "ham")[i % 2]} for i, row in enumerate(rows)]
    assert len(load(write_rows(tmp_path / "rows.jsonl", rows)).examples) == 4, "a label of a class"


@pytest.mark.parametrize("words", [["question=frage", "answer=antwort"], {"question": "frage", "answer": "antwort"}])
def test_columns_are_mapped(tmp_path: Path, words: Any) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"frage": "q", "antwort": "a", "question": "another"}])
    assert turns(load(path, columns=words).examples[0]) == [("user", "q"), ("assistant", "a")]


def test_columns_are_mapped_by_flag_and_file_and_dataset_entry(tmp_path: Path) -> None:
    rows = [{"frage": f"q{i}", "antwort": "a"} for i in range(12)]
    write_rows(tmp_path / "rows.jsonl", rows)
    words = ("data", "check", "--json")
    by_flag = stdout_json(swiftkit(*words, "rows.jsonl", "--columns", "question=frage", "answer=antwort"))
    (tmp_path / "swiftkit.yaml").write_text("columns: {question: frage, answer: antwort}\n")
    assert stdout_json(swiftkit(*words, "rows.jsonl")) == by_flag
    (tmp_path / "swiftkit.yaml").unlink()
    (tmp_path / "mine" / "datasets").mkdir(parents=True)
    entry = (
        f"description: d\nlicense: MIT\npath: {tmp_path}/rows.jsonl\ncolumns: {{question: frage, answer: antwort}}\n"
    )
    (tmp_path / "mine" / "datasets" / "fragen.yaml").write_text(entry)
    by_entry = stdout_json(swiftkit(*words, "fragen", "--registry", "mine"))
    assert by_entry["lengths"] == by_flag["lengths"]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("question",), "--columns question: not of the form NAME=COLUMN"),
        (("question=a", "answer=a"), "--columns answer=a: the name stands in another pair as well"),
        (("question=nothing", "answer=a"), "rows.jsonl:1: no column `nothing`, which --columns names"),
    ],
)
def test_invalid_mappings_are_refused(tmp_path: Path, pairs: tuple[str, ...], message: str) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"q": "q", "a": "a"}])
    assert message in refused(*TINY, "--dataset", "rows.jsonl", "--columns", *pairs)


def test_unknown_columns_are_a_finding_and_a_line(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"query": f"q{i}", "response": "a", "hint": "h", "id": i} for i in range(60)])
    report = stdout_json(swiftkit("data", "check", "rows.jsonl", "--json"))
    assert report["unused_columns"] == {"hint": 60}
    assert "columns that are not used: `hint` (60 rows)" in [finding["text"] for finding in report["findings"]]
    done = swiftkit("sft", *TINY, "--dataset", "rows.jsonl", "--dry_run")
    assert "note: columns that are not used: `hint`; if one is" in done.stderr
    assert "--columns" in done.stderr


def test_reasoning_needs_a_template_that_writes_it(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"question": "q", "reasoning": "r", "answer": "a"}] * 9)
    message = refused(*TINY, "--dataset", "rows.jsonl")
    assert "rows.jsonl:1: the row has reasoning apart from its answer, and the chat template `qwen2_5`" in message
    assert loss_texts(load("rows.jsonl").examples[0]) == ["<think>\nr\n</think>\n\na"]


@pytest.mark.parametrize("names", [("instruction", "input", "response"), ("instruction", "input", "output")])
def test_the_input_of_an_instruction_belongs_to_the_question(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [dict(zip(names, ("Add.", "3 + 4", "7"), strict=True))])
    assert turns(load(path).examples[0]) == [("user", "Add.\n3 + 4"), ("assistant", "7")]


def test_columns_of_another_layout_and_labels_are_reported(tmp_path: Path) -> None:
    row = {"problem": "p", "solution": "s", "answer": "5", "prompt": "other", "label": "spam"}
    path = write_rows(tmp_path / "rows.jsonl", [row])
    assert load(path).unused == {"answer": 1, "prompt": 1, "label": 1}


def test_a_column_beside_lists_of_messages_is_not_dropped(tmp_path: Path) -> None:
    row = {"prompt": talk()["messages"][:3], "completion": talk()["messages"][3:], "context": "c"}
    message = refused(*TINY, "--dataset", str(write_rows(tmp_path / "rows.jsonl", [row])))
    assert "`context` beside lists of messages is not supported" in message
    row = {"prompt": "q", "completion": [{"role": "assistant", "content": "a", "weight": 0.5}]}
    message = refused(*TINY, "--dataset", str(write_rows(tmp_path / "rows.jsonl", [row])))
    assert "a turn has weight 0.5" in message


def test_a_history_beside_a_rendered_prompt_is_not_dropped(tmp_path: Path) -> None:
    prompt = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    row = {"prompt": prompt, "completion": "a", "history": [["q1", "a1"]]}
    message = refused(*TINY, "--dataset", str(write_rows(tmp_path / "rows.jsonl", [row])))
    assert "there is a history, and the question is a rendered chat itself" in message


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ({"query": "a", "response": "b", "question": "c", "answer": "d"}, "--columns question=question answer=answer"),
        ({"question": "a", "answer": "b", "data": "c"}, "--format conversation or --format question_answer"),
    ],
)
def test_the_hint_about_several_layouts_is_a_way_out(tmp_path: Path, row: dict[str, Any], hint: str) -> None:
    write_rows(tmp_path / "rows.jsonl", [row] * 20)
    assert hint in refused(*TINY, "--dataset", "rows.jsonl")
    words = hint.split(" or ")[-1].split()
    done = swiftkit("sft", *TINY, "--dataset", "rows.jsonl", *words, "--dry_run")
    assert done.returncode == 0, done.stderr


# --- what has loss ----------------------------------------------------------------------------------------------------

TALK = [("user", "q1"), ("assistant", "a1"), ("user", "q2"), ("assistant", "a2")]


def talk(**fields: Any) -> dict[str, Any]:
    """A conversation; each field is a list with the value of each turn, None for none."""
    messages: list[dict[str, Any]] = [{"role": role, "content": content} for role, content in TALK]
    for name, values in fields.items():
        for message, value in zip(messages, values, strict=True):
            message |= {} if value is None else {name: value}
    return {"messages": messages}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (talk(), ["a1", "a2"]),
        (talk(weight=[None, 0, None, 1]), ["a2"]),
        (talk(loss=[None, True, None, False]), ["a1"]),
        (talk(train=[False, "0", False, "1"]), ["a2"]),
        ({"prompt": talk()["messages"][:3], "completion": talk()["messages"][3:]}, ["a2"]),
    ],
)
def test_turns_say_whether_they_have_loss(tmp_path: Path, row: dict[str, Any], expected: list[str]) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [row])
    assert loss_texts(load(path).examples[0]) == expected
    assert loss_texts(load(path, loss_on="last").examples[0]) == [text for text in expected if text == "a2"]


def test_masked_answers_keep_their_tokens_and_lose_their_labels() -> None:
    encoder = ModelContext.load(resolve_model("tiny-math", None)).encoder
    messages = tuple({"role": role, "content": content} for role, content in TALK)
    (every,) = encoder.encode([messages])  # type: ignore[list-item]
    (last,) = encoder.encode([messages], [(1,)])  # type: ignore[list-item]
    (first,) = encoder.encode([messages], [(3,)])  # type: ignore[list-item]
    assert last.ids == every.ids
    assert first.ids == every.ids[: len(first.ids)], "what is behind the last token with loss is cut"
    cut = len(first.ids)
    assert [a for a in last.labels if a != IGNORED] + [a for a in first.labels if a != IGNORED] == [
        *[a for a in every.labels[cut:] if a != IGNORED],
        *[a for a in every.labels[:cut] if a != IGNORED],
    ]


def test_a_template_with_two_blocks_in_an_answer_cannot_leave_answers_out() -> None:
    encoder = ModelContext.load(resolve_model("tiny-math", None)).encoder
    source = encoder.template.source.replace(
        "{%- generation -%}", "{%- generation -%}x{%- endgeneration -%}y{%- generation -%}"
    )
    assert source != encoder.template.source
    messages = [{"role": role, "content": content} for role, content in TALK]
    with pytest.raises(SwiftkitError, match="gives loss to 4 texts of 2 answers"):
        next(replace(encoder, template=template.compile(source, "own")).encode([messages], [(1,)]))  # type: ignore[list-item]


def test_rows_without_loss_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{**talk(), "weight": int(i % 4 > 0)} for i in range(40)] + [talk(weight=[None, 0, None, 0])]
    write_rows(tmp_path / "rows.jsonl", rows)
    planned = stdout_json(swiftkit("sft", *TINY, "--dataset", "rows.jsonl", "--dry_run", "--json"))["rows"]
    assert (planned["read"], planned["without_loss"], planned["train"] + planned["validation"]) == (41, 11, 30)
    shown = swiftkit("data", "show", "rows.jsonl", *TINY, "--loss_on", "last")
    assert "⟦a2<|im_end|>" in shown.stdout
    assert "⟦a1" not in shown.stdout


# --- rendered text ----------------------------------------------------------------------------------------------------

TWO = [("user", "Hi you"), ("assistant", "Yes."), ("user", "Why?"), ("assistant", "So.")]
RENDERED = {
    "ChatML": ("<|im_start|>{}\n{}<|im_end|>\n", "user", "assistant"),
    "Llama 3": ("<|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>", "user", "assistant"),
    "Gemma": ("<start_of_turn>{}\n{}<end_of_turn>\n", "user", "model"),
    "Command-R": ("<|START_OF_TURN_TOKEN|><|{}_TOKEN|>{}<|END_OF_TURN_TOKEN|>", "USER", "CHATBOT"),
    "DeepSeek": ("<｜{}｜>{}", "User", "Assistant"),
    "Zephyr": ("<|{}|>\n{}</s>\n", "user", "assistant"),
    "Phi-3": ("<|{}|>\n{}<|end|>\n", "user", "assistant"),
    "Guanaco": ("### {}: {}", "Human", "Assistant"),
    "Alpaca": ("### {}:\n{}\n\n", "Instruction", "Response"),
    "Vicuna": ("{}: {} ", "USER", "ASSISTANT"),
    "Anthropic": ("\n\n{}: {}", "Human", "Assistant"),
}


@pytest.mark.parametrize("name", RENDERED)
def test_rendered_chats_are_taken_apart(name: str, tmp_path: Path) -> None:
    pattern, user, assistant = RENDERED[name]
    names = {"user": user, "assistant": assistant}
    text = "".join(pattern.format(names[role], content) for role, content in TWO)
    (example,) = load(write_rows(tmp_path / "rows.jsonl", [{"text": text}])).examples
    assert turns(example) == TWO
    *history, last = TWO
    prompt = "".join(pattern.format(names[role], content) for role, content in history)
    prompt += pattern.split("{}")[0] + assistant + pattern.split("{}")[1]
    (example,) = load(write_rows(tmp_path / "rows.jsonl", [{"prompt": prompt, "completion": last[1]}])).examples
    assert turns(example) == TWO
    assert loss_texts(example) == [last[1]], "answers in the prompt are read only"


def test_llama_2_has_its_system_prompt_in_the_first_question(tmp_path: Path) -> None:
    text = "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi you [/INST] Yes. </s><s>[INST] Why? [/INST] So. </s>"
    (example,) = load(write_rows(tmp_path / "rows.jsonl", [{"text": text}])).examples
    assert turns(example) == [("system", "Be brief."), *TWO]


@pytest.mark.parametrize(
    "text", ["The USER: field is empty.", "See ### notes.", "Human: rights are universal.", "What does [INST] mean?"]
)
def test_ordinary_text_is_not_taken_apart(tmp_path: Path, text: str) -> None:
    (example,) = load(write_rows(tmp_path / "rows.jsonl", [{"prompt": text, "completion": "a"}])).examples
    assert turns(example) == [("user", text), ("assistant", "a")]


# --- containers -------------------------------------------------------------------------------------------------------

CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: (
        text.strip() == text and bool(text.strip("\u200b\u200c\u200d\u2060\ufeff\u00ad ")) and text[0] not in "=["
    )
)
LAYOUTS = question_answer.LAYOUTS[:9]  # SQuAD's answers are lists


def write_container(folder: Path, kind: str, rows: list[dict[str, str]]) -> Path:
    """The rows in a file (or folder) of a kind."""
    path, lines = folder / f"rows.{kind}", "".join(json.dumps(row) + "\n" for row in rows)
    header = list(rows[0])
    by_column = {name: [row[name] for row in rows] for name in header}
    if kind in ("csv", "tsv", "semicolon.csv", "sep.csv", "utf16.csv"):
        delimiter = "\t" if kind == "tsv" else ";" if kind.startswith("se") else ","
        table = io.StringIO()
        writer = csv.writer(table, delimiter=delimiter)
        names = [f" {name.title()} " for name in header] if kind == "csv" else header
        writer.writerows([names, *([row[name] for name in header] for row in rows)])
        text = ("sep=;\r\n" if kind == "sep.csv" else "") + table.getvalue()
        path.write_bytes(text.encode("utf-16" if kind == "utf16.csv" else "utf-8"))
    elif kind in ("jsonl", "ndjson"):
        path.write_text(lines, encoding="utf-8")
    elif kind == "pretty.jsonl":
        path.write_text("\n".join(json.dumps(row, indent=2) for row in rows), encoding="utf-8")
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif kind == "jsonl.zst":
        path.write_bytes(pyarrow.compress(lines.encode(), codec="zstd", asbytes=True))
        sink = pyarrow.BufferOutputStream()
        with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(lines.encode())
        path.write_bytes(sink.getvalue().to_pybytes())
    elif kind == "json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif kind == "data.json":
        path.write_text(json.dumps({"version": 1, "data": rows}, indent=1), encoding="utf-8")
    elif kind == "columns.json":
        path.write_text(json.dumps(by_column), encoding="utf-8")
    elif kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.table(by_column), path)
    elif kind == "xlsx":
        book = Workbook()
        for values in (header, *([row[name] for name in header] for row in rows)):
            book.worksheets[0].append(values)
        book.save(path)
    else:  # as `datasets` saves it
        (path / "train").mkdir(parents=True, exist_ok=True)
        (path / "dataset_dict.json").write_text('{"splits": ["train"]}')
        (path / "train" / "state.json").write_text("{}")
        table = pyarrow.table(by_column)
        with pyarrow.ipc.new_stream(str(path / "train" / "data-00000-of-00001.arrow"), table.schema) as stream:
            stream.write_table(table)
    return path


KINDS = [
    *("jsonl", "ndjson", "pretty.jsonl", "jsonl.gz", "jsonl.zst", "json", "data.json", "columns.json", "csv", "tsv"),
    *("semicolon.csv", "sep.csv", "utf16.csv", "parquet", "xlsx", "saved"),
]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=st.sampled_from(LAYOUTS), cells=st.lists(st.tuples(CELL, CELL), min_size=2, max_size=4))
def test_every_container_gives_the_same_examples(
    kind: str, layout: tuple[str, str], cells: list[tuple[str, str]], tmp_path: Path
) -> None:
    rows = [dict(zip(layout, pair, strict=True)) for pair in cells]
    examples = load(write_container(tmp_path, kind, rows)).examples
    assert [turns(example) for example in examples] == [[("user", q), ("assistant", a)] for q, a in cells]


def test_folders_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for name in ("b", "a"):
        write_rows(tmp_path / "rows" / f"{name}.jsonl", [{"query": name, "response": "r"}])
    for name in ("rows", "rows/*.jsonl", "rows/[ab].jsonl"):
        assert [example.messages[0]["content"] for example in load(name).examples] == ["a", "b"]
    assert catalog.absolute("rows/*.jsonl#1") == f"{tmp_path}/rows/*.jsonl#1"
    done = swiftkit("data", "check", "rows", "--json")
    assert stdout_json(done)["datasets"] == [{"dataset": "rows", "format": "question_answer", "rows": 2}]


def test_an_encoding_is_chosen_and_never_guessed(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("question,answer\nCafé?,naïve\n".encode("cp1252"))
    message = refused(*TINY, "--dataset", "rows.csv")
    assert "as cp1252:\n    Café?,naïve" in message
    assert turns(load("rows.csv", encoding="cp1252").examples[0]) == [("user", "Café?"), ("assistant", "naïve")]
    assert "--encoding nonsense is not known" in refused(*TINY, "--dataset", "rows.csv", "--encoding", "nonsense")


# --- identity of a row ------------------------------------------------------------------------------------------------


def example_of(*pairs: tuple[str, str]) -> TokenizedExample:
    return TokenizedExample(Example(tuple({"role": r, "content": c} for r, c in pairs), "x:1"), 9, 1)  # type: ignore[misc]


def test_the_same_question_below_other_documents_is_another_question() -> None:
    rows = [example_of(("system", f"Room {i}."), ("user", "Where?"), ("assistant", f"{i}")) for i in range(30)]
    train, validation = split.split_rows(rows, 6, 42)
    assert (len(train), len(validation)) == (24, 6)


def test_a_conversation_and_its_beginnings_stay_on_one_side() -> None:
    rows = []
    for number in range(10):
        pairs = [pair for turn in range(4) for pair in (("user", f"{number}.{turn}"), ("assistant", "a"))]
        rows += [example_of(*pairs[:end]) for end in (2, 4, 6, 8)]
    train, validation = split.split_rows(rows, 8, 42)
    assert len(validation) == 8
    first = [{row.example.messages[0]["content"] for row in part} for part in (train, validation)]
    assert not first[0] & first[1]


# --- bad rows aside ---------------------------------------------------------------------------------------------------


def write_with_bad_rows(path: Path) -> None:
    rows: list[Any] = [{"query": f"q{i}", "response": "a"} for i in range(97)]
    rows[10:10] = ["{broken", {"query": "q", "response": ""}, {"query": "q"}]
    write_rows(path, rows)


def test_bad_rows_are_skipped_counted_and_kept_with_their_reasons(tmp_path: Path) -> None:
    write_with_bad_rows(tmp_path / "rows.jsonl")
    words = ("--dataset", "rows.jsonl", "--max_steps", "1", "--bad_rows", "skip")
    done = stdout_json(swiftkit("sft", *TINY, *words, "--json"))
    assert (done["rows"]["read"], done["rows"]["skipped"]) == (100, 3)
    assert done["rows"]["train"] + done["rows"]["validation"] == 97
    skipped = read_lines(only_run(Path("output")).data("skipped"))
    assert [(row["source"], row["reason"].split(" at ")[0]) for row in skipped] == [
        ("rows.jsonl:11", "broken JSON: Expecting property name enclosed in double quotes"),
        ("rows.jsonl:12", "turn 2: the assistant's content is empty"),
        ("rows.jsonl:13", "no `response`; format `question_answer` needs it. The row has the columns `query`"),
    ]
    assert skipped[2]["row"] == {"query": "q"}


def test_nothing_behind_a_broken_object_is_lost(tmp_path: Path) -> None:
    """In pretty-printed JSON lines it is not known where the next object begins."""
    rows = [json.dumps({"query": f"q{i}", "response": "a"}, indent=1) for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*rows[:20], '{"query": }', *rows[20:]]))
    message = refused(*TINY, "--dataset", "rows.jsonl", "--bad_rows", "skip")
    assert "rows.jsonl:81: broken JSON in the object that begins here" in message


def test_too_many_bad_rows_are_refused(tmp_path: Path) -> None:
    write_with_bad_rows(tmp_path / "rows.jsonl")
    words = (*TINY, "--dataset", "rows.jsonl", "--bad_rows", "skip", "--max_dropped", "0.02")
    message = refused(*words)
    assert "3 of 100 rows are invalid; the first: rows.jsonl:11: broken JSON" in message
    assert "--max_dropped 0.03" in message


def test_a_fault_of_all_rows_is_reported_once(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"query": "q", "response": "a", "images": ["x"]}] * 30)
    message = refused(*TINY, "--dataset", "rows.jsonl")
    assert message.count("images") == 1
    assert "(and in 29 more rows)" in message


# --- the recipes of docs/data.md --------------------------------------------------------------------------------------

RECIPES: dict[str, tuple[list[dict[str, Any]], list[str], list[str]]] = {
    "OpenAI": ([talk(weight=[None, 0, None, 1])], [], ["a2"]),
    "LLaMA-Factory": (
        [{"frage": "q2", "antwort": "a2", "verlauf": [["q1", "a1"]]}],
        ["--columns", "question=frage", "answer=antwort", "history=verlauf"],
        ["a1", "a2"],
    ),
    "Unsloth": ([{"text": "<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\na2<|im_end|>\n"}], [], ["a2"]),
    "TRL": ([{"prompt": talk()["messages"][:3], "completion": talk()["messages"][3:]}], [], ["a2"]),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name: str, tmp_path: Path) -> None:
    rows, options, expected = RECIPES[name]
    write_rows(tmp_path / "train.jsonl", rows)
    shown = stdout_json(swiftkit("data", "show", "train.jsonl", *TINY, *options, "--json"))
    with_loss = "".join(span["text"] for span in shown["rows"][0]["spans"] if span["in_loss"])
    assert with_loss == "".join(f"{text}<|im_end|>\n" for text in expected)
    assert name in (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_trainer_gives_loss_to_the_same_tokens(tmp_path: Path) -> None:
    """The loss of the first step is that of the base model on the answers that are not masked, and of no others."""
    import torch
    from transformers import AutoModelForCausalLM

    row = talk(weight=[None, 0, None, 1])
    row["messages"][1]["content"], row["messages"][3]["content"] = "Not at all, I suppose.", "3 + 4 = 7"
    write_rows(tmp_path / "rows.jsonl", [row])
    words = ("--dataset", "rows.jsonl", "--dataset_test_ratio", "0", "--max_steps", "1", "--lora_dropout", "0")
    done = swiftkit("sft", *TINY, *words, "--dtype", "fp32", "--batch_size", "1")
    assert done.returncode == 0, done.stderr
    (step,) = events_of(only_run(Path("output")), Step)
    context = ModelContext.load(resolve_model("tiny-math", None))
    model = AutoModelForCausalLM.from_pretrained(context.folder.path, dtype=torch.float32)
    losses = {}
    for masked in ((1,), ()):
        (encoded,) = sft.encode([replace(load("rows.jsonl").examples[0], masked=masked)], context.encoder)
        with torch.no_grad():
            ids, labels = torch.tensor([encoded.ids]), torch.tensor([encoded.labels])
            losses[masked] = model(input_ids=ids, labels=labels).loss.item()
    assert step.loss == pytest.approx(losses[(1,)], abs=1e-3)
    assert abs(losses[()] - losses[(1,)]) > 0.1
