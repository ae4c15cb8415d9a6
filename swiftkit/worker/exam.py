"""`python -m swiftkit.worker.exam JOB.json`: answer an exam's questions and score them, by evalscope.

evalscope gets a benchmark of ours (questions and scorer) and a model of ours (the engine). Its own score is not used:
it leaves failed samples out of the denominator. The parent computes the score, from scores.jsonl.
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

from swiftkit import files
from swiftkit.errors import SwiftkitError
from swiftkit.exams import job as jobs
from swiftkit.exams.session import ExamSession
from swiftkit.system import events
from swiftkit.system.events import Event, Failed, Finished, Interrupted, Started

NAME, METRIC = "swiftkit", "partial_credit"  # the metric's name must be one of evalscope's catalog


class SessionModel(ModelAPI):  # type: ignore[misc]
    """evalscope's model: at the first question without an answer, the engine answers all of them."""

    def __init__(self, session: ExamSession) -> None:
        super().__init__(model_name=str(session.job.adapter or session.job.model))
        self.session = session

    def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> ModelOutput:
        """The answer to the question whose number the last message carries."""
        number = int(input[-1].id)
        if number not in self.session.answers:  # evalscope asks one question at a time (eval_batch_size)
            self.session.answer_all()
        if number not in self.session.answers:
            if self.session.is_interrupted():
                raise InterruptedError("interrupted")
            raise SwiftkitError(f"engine `{self.session.job.engine}` gave no response to question {number}")
        return ModelOutput.from_content(self.model_name, self.session.answers[number].response)


def register(session: ExamSession) -> None:
    """Register the benchmark with evalscope."""

    class Exam(DefaultDataAdapter):  # type: ignore[misc]
        def load_from_disk(self, **kwargs: Any) -> Any:
            return super().load_from_disk(use_local_loader=True)

        def load_from_remote(self, **kwargs: Any) -> Any:
            raise FileNotFoundError(self.dataset_id)  # it would ask a hub for it

        def record_to_sample(self, record: dict[str, Any]) -> Sample:
            *history, last = record["messages"]
            # The number is part of the message, since nothing else of a sample reaches a model.
            turns = [*history, {**last, "id": str(record["number"])}]
            metadata = {"number": record["number"], "source": record["source"]}
            return Sample(
                input=[dict_to_chat_message(turn) for turn in turns], target=record["reference"], metadata=metadata
            )

        def match_score(
            self, original_prediction: str, filtered_prediction: str, reference: str, task_state: Any
        ) -> Score:
            score = session.score(task_state.metadata["number"]).score
            return Score(
                value={METRIC: score.value},
                main_score_name=METRIC,
                prediction=original_prediction,
                extracted_prediction=", ".join(score.answer),
                explanation=score.explanation,
            )

    meta = BenchmarkMeta(
        name=NAME,
        pretty_name="swiftkit exam",
        description="Questions of a swiftkit exam.",
        dataset_id=str(session.job.files.questions),
        subset_list=["default"],
        eval_split="test",
        few_shot_mode="disabled",
        prompt_template="{question}",
        metric_list=[METRIC],
        evaluation_version="v1.0",
        extra_params={"key": session.job.scores_key},
    )
    register_benchmark(meta)(Exam)


def evaluate(session: ExamSession) -> dict[str, Any]:
    """Answer and score all questions; returns what evalscope reports: its version, score and number of questions."""
    import evalscope

    work = session.job.folder / ".evalscope"
    shutil.rmtree(work, ignore_errors=True)
    register(session)
    config = TaskConfig(
        model=SessionModel(session),
        model_id="model",
        eval_type="custom",
        datasets=[NAME],
        generation_config={"max_tokens": session.job.max_new_tokens, "do_sample": False},
        eval_batch_size=1,
        work_dir=str(work),
        no_timestamp=True,
        ignore_errors=False,
    )
    # Imports leave permanent objects; frozen, they are not traversed by every garbage collection.
    gc.freeze()
    # The evaluator alone: `run_task` would go on to draw charts of its own score, with scripts from another machine.
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
    """Work as the job file says; 0 if everything is answered and scored, else 1."""
    job = jobs.load(Path(path))
    session = ExamSession(job)

    def request_stop(number: int, frame: FrameType | None) -> None:
        session.stop_requested = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, request_stop)
    num_known = len(session.answers)
    events.append(job.files.events, Started.by_this_process(len(session.questions), num_done=num_known))
    end = _work(session, num_known)
    events.append(job.files.events, end)
    return 0 if isinstance(end, Finished) else 1


def _work(session: ExamSession, num_known: int) -> Event:
    """Evaluate, write the files, and say how it ended."""
    exam_files = session.job.files
    try:
        reported = evaluate(session)
        if session.bug:
            raise RuntimeError("the scorer raised")
        answers = [session.answers[number] for number in sorted(session.answers)]
        files.write(exam_files.answers, files.to_jsonl(answers))
        scores = [session.scores[number].to_json() for number in sorted(session.questions)]
        files.write(exam_files.scores, files.to_jsonl(scores))
    except Exception as error:
        traceback.print_exc()
        if session.bug:
            return Failed(error=session.bug, is_bug=True)
        if session.stop_requested:
            return Interrupted()
        return Failed.by_error(error)
    return Finished(details={"num_known": num_known, "evalscope": reported})


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written; taking torch apart would only cost time
