"""`python -m swiftkit.worker.exam JOB.json`: answer an exam's questions and score them, by evalscope.

evalscope gets a benchmark of ours (the questions and the scorer) and a provider of ours (the model). Its own mark is
not used: it leaves failed samples out of the denominator. The parent makes the mark, from scores.jsonl.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from evalscope.api.benchmark import BenchmarkMeta, DefaultDataAdapter
from evalscope.api.dataset import Sample
from evalscope.api.messages import dict_to_chat_message
from evalscope.api.metric import Score
from evalscope.api.model import ModelAPI, ModelOutput
from evalscope.api.model.lazy_model import LazyModel
from evalscope.api.registry import create_evaluator, get_benchmark, register_benchmark
from evalscope.config import TaskConfig
from evalscope.utils.io_utils import OutputsStructure

from swiftkit import events, exams, plugins, runs, tokenization
from swiftkit.exams import ERROR, LIMIT, MARKER, STOP, Answer, Job, Question, Scored
from swiftkit.worker.job import orphaned

NAME, METRIC = "swiftkit", "partial_credit"  # the metric's name has to be one that evalscope's catalogue knows


class Asked:
    """The questions with the answers so far, the scorer, and whether somebody has asked to stop."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.questions = {question.number: question for question in job.files.asked()}
        # Those that failed are tried again.
        self.answers = {n: answer for n, answer in job.files.answered().items() if answer.end != ERROR}
        self.scorer = plugins.module("scorers", job.scorer)
        self.scores: dict[int, Scored] = {}
        self.bug: str | None = None
        self.stopped = False

    def leave(self) -> bool:
        """Whether to stop: a signal came, or nobody watches any more."""
        return self.stopped or orphaned(self.job.parent)

    def done(self, question: Question, response: str) -> bool:
        """Whether the scorer needs no more of a response; what it raises is kept in `bug`, and ends the work."""
        try:
            done: bool = hasattr(self.scorer, "done") and self.scorer.done(response, question.reference, question.asked)
            return done
        except Exception:
            self._blame(question)
            self.stopped = True
            return False

    def _blame(self, question: Question) -> None:
        self.bug = self.bug or f"scorer `{self.job.scorer}`, {question.source}:\n{traceback.format_exc()}"

    def score(self, number: int) -> Scored:
        """Score an answer; what could not be answered earns nothing, and stays in the denominator.

        Raises:
            Exception: whatever the scorer raises; the first one is kept in `bug`.
        """
        question, answer = self.questions[number], self.answers[number]
        if answer.end == ERROR:
            scored = Scored(number, 0.0, f"no answer: {answer.error}")
        else:
            try:
                given = self.scorer.score(
                    answer.response,
                    question.reference,
                    question=question.asked,
                    cut=answer.end == LIMIT,
                    tolerance=self.job.tolerance,
                )
                marked, stated = (getattr(given, name, None) for name in ("marked", "stated"))
                scored = Scored(number, float(given.credit), given.reason, tuple(given.read), marked, stated)
            except Exception:
                self._blame(question)
                raise
        self.scores[number] = scored
        return scored


class Provider(ModelAPI):  # type: ignore[misc]
    """evalscope's model: at the first question that has no answer yet, it answers all such in length-sorted batches."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(model_name=str(asked.job.adapter or asked.job.model))
        self.asked = asked

    def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> ModelOutput:
        """The answer to the question whose number the last message carries."""
        number = int(input[-1].id)
        if number not in self.asked.answers:  # evalscope asks one question at a time (eval_batch_size)
            self._answer()
        if number not in self.asked.answers:
            raise InterruptedError("asked to stop")
        return ModelOutput.from_content(self.model_name, self.asked.answers[number].response)

    def _answer(self) -> None:
        from swiftkit.worker import generation  # only now, since a finished exam needs no torch

        asked, job = self.asked, self.asked.job
        events.append(job.files.events, "phase", name="imports")
        model = generation.load(job.model, job.adapter, job.dtype, trust_remote_code=job.trust_remote_code)
        events.append(job.files.events, "phase", name="model")
        tokenizer = tokenization.read(job.tokenizer)
        stops = set(job.stops)
        # Only a token with one of these characters can end an answer; only then is the text looked at.
        closers = set(getattr(asked.scorer, "CLOSERS", "")) | set((job.stop_text or "")[-1:])
        closing = {number for token, number in tokenizer.get_vocab().items() if closers & set(token)}

        def ends(row: generation.Row) -> str:
            if row.ids[-1] in stops:
                return STOP
            if row.ids[-1] not in closing:
                return ""
            text = opened(tokenizer, asked.questions[row.number].ids) + tokenizer.decode(row.ids)
            if job.stop_text and text.rstrip().endswith(job.stop_text):
                return STOP
            return MARKER if asked.done(asked.questions[row.number], text) else ""

        # Written anew, so that a line which a crash has cut off does not swallow the next one.
        runs.write(job.files.answers, exams.lines(list(asked.answers.values())))
        with job.files.answers.open("a", encoding="utf-8") as stream:

            def keep(answer: Answer) -> None:
                asked.answers[answer.number] = answer
                stream.write(exams.lines([answer]))
                stream.flush()
                events.append(job.files.events, "answered", done=len(asked.answers), tokens=answer.tokens)

            def finished(row: generation.Row) -> None:
                ids = row.ids[:-1] if row.ids[-1] in stops else row.ids
                text = opened(tokenizer, asked.questions[row.number].ids) + tokenizer.decode(ids)
                if job.stop_text and row.end == STOP:
                    text = text.rstrip().removesuffix(job.stop_text)
                keep(Answer(row.number, text, len(row.ids), row.end))

            waiting = [
                generation.Prompt(number, question.ids)
                for number, question in asked.questions.items()
                if number not in asked.answers
            ]
            answerer = generation.Answerer(model, job.limit, job.rows, ends, asked.leave)
            for number, error in answerer.answer(waiting, finished):
                keep(Answer(number, "", 0, ERROR, f"{type(error).__name__}: {error}"))


def opened(tokenizer: Any, prompt: list[int]) -> str:
    """The beginning of a thinking block, where the prompt ends with one: it belongs to what the model says."""
    end = tokenizer.decode(prompt[-4:], skip_special_tokens=False).rstrip()
    return "<think>\n" if end.endswith("<think>") else ""


def benchmark(asked: Asked) -> None:
    """Register our benchmark with evalscope."""

    class Exam(DefaultDataAdapter):  # type: ignore[misc]
        def load_from_disk(self, **given: Any) -> Any:
            return super().load_from_disk(use_local_loader=True)

        def load_from_remote(self, **given: Any) -> Any:
            raise FileNotFoundError(self.dataset_id)  # it would ask a hub for it

        def record_to_sample(self, record: dict[str, Any]) -> Sample:
            *history, last = record["messages"]
            # The number goes with the message, since nothing else of a sample reaches a provider.
            turns = [*history, {**last, "id": str(record["number"])}]
            metadata = {"number": record["number"], "source": record["source"]}
            return Sample(
                input=[dict_to_chat_message(turn) for turn in turns], target=record["reference"], metadata=metadata
            )

        def match_score(
            self, original_prediction: str, filtered_prediction: str, reference: str, task_state: Any
        ) -> Score:
            scored = asked.score(task_state.metadata["number"])
            return Score(
                value={METRIC: scored.credit},
                main_score_name=METRIC,
                prediction=original_prediction,
                extracted_prediction=", ".join(scored.read),
                explanation=scored.reason,
            )

    meta = BenchmarkMeta(
        name=NAME,
        pretty_name="swiftkit exam",
        description="Questions of a swiftkit exam.",
        dataset_id=str(asked.job.files.questions),
        subset_list=["default"],
        eval_split="test",
        few_shot_mode="disabled",
        prompt_template="{question}",
        metric_list=[METRIC],
        evaluation_version="v1.0",
        extra_params={"key": asked.job.key},
    )
    register_benchmark(meta)(Exam)


def examine(asked: Asked) -> dict[str, Any]:
    """Answer and score all questions; returns what evalscope makes of it: its version, score and count."""
    import evalscope

    work = asked.job.folder / ".evalscope"
    shutil.rmtree(work, ignore_errors=True)
    benchmark(asked)
    config = TaskConfig(
        model=Provider(asked),
        model_id="model",
        eval_type="custom",
        datasets=[NAME],
        generation_config={"max_tokens": asked.job.limit, "do_sample": False},
        eval_batch_size=1,
        work_dir=str(work),
        no_timestamp=True,
        ignore_errors=False,
    )
    # What the imports left behind stays for good; frozen, it is not walked by every collection of garbage.
    gc.freeze()
    # The evaluator by itself: `run_task` would go on to draw charts of its own score, by scripts from another machine.
    evaluator = create_evaluator(
        benchmark=get_benchmark(NAME, config),
        model=LazyModel(task_config=config),
        outputs=OutputsStructure(outputs_dir=str(work)),
        task_config=config,
    )
    report = evaluator.eval()
    shutil.rmtree(work, ignore_errors=True)
    return {"version": evalscope.__version__, "score": report.score, "questions": report.execution_summary.succeeded}


def main(path: str) -> int:
    """Work as `path` says; 0 when all is answered and scored, else 1."""
    job = exams.load(Path(path))
    asked = Asked(job)

    def stop(number: int, frame: FrameType | None) -> None:
        asked.stopped = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    known = len(asked.answers)
    events.append(job.files.events, "started", pid=os.getpid(), total=len(asked.questions), known=known)
    try:
        theirs = examine(asked)
        if asked.bug:
            raise RuntimeError("the scorer raised")
        runs.write(job.files.answers, exams.lines([asked.answers[number] for number in sorted(asked.answers)]))
        runs.write(job.files.scores, exams.lines([asked.scores[number] for number in sorted(asked.questions)]))
    except Exception as error:
        traceback.print_exc()
        if asked.bug:
            events.append(job.files.events, "failed", error=asked.bug, bug=True)
        elif asked.stopped:
            events.append(job.files.events, "interrupted", done=len(asked.answers))
        else:
            events.append(job.files.events, "failed", error=f"{type(error).__name__}: {error}", bug=False)
        return 1
    events.append(job.files.events, "finished", known=known, evalscope=theirs)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written; taking torch apart would only take time
