"""The work on an exam in its own process: which questions have answers, when a response ends, what it scores."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

from swiftkit import files, plugins
from swiftkit.chat import tokenizer as tokenizers
from swiftkit.exams.engines import Generation, Prompt
from swiftkit.exams.folder import ERROR, LIMIT, MARKER, STOP, Answer, Question, ScoreRecord
from swiftkit.exams.job import ExamJob
from swiftkit.scoring.scorers import Score, validate
from swiftkit.system import events, supervisor
from swiftkit.system.events import Answered, Phase


class ExamSession:
    """The questions with the answers so far, the scorer, and whether the work must end."""

    def __init__(self, job: ExamJob) -> None:
        self.job = job
        self.questions = {question.number: question for question in job.files.read_questions()}
        # Questions whose answer failed are asked again.
        self.answers = {n: a for n, a in job.files.read_answers().items() if a.stop_reason != ERROR}
        self.scorer = plugins.module("scorers", job.scorer)
        self.scores: dict[int, ScoreRecord] = {}
        self.bug: str | None = None
        self.stop_requested = False

    def is_interrupted(self) -> bool:
        """Whether to stop: a signal was received, or the parent is gone."""
        return self.stop_requested or supervisor.is_orphaned(self.job.parent)

    def is_done(self, question: Question, response: str) -> bool:
        """Whether the scorer needs no more of a response; what it raises is kept in `bug` and ends the work."""
        try:
            done: bool = hasattr(self.scorer, "done") and self.scorer.done(
                response, question.reference, question.prompt_text
            )
            return done
        except Exception:
            self._record_bug(question)
            self.stop_requested = True
            return False

    def _record_bug(self, question: Question) -> None:
        self.bug = self.bug or f"scorer `{self.job.scorer}`, {question.source}:\n{traceback.format_exc()}"

    def score(self, number: int) -> ScoreRecord:
        """Score an answer; a failed one scores 0 and still counts.

        Raises:
            Exception: whatever the scorer raises; the first one is kept in `bug`.
        """
        question, answer = self.questions[number], self.answers[number]
        if answer.stop_reason == ERROR:
            score = Score(0.0, f"no answer: {answer.error}")
        else:
            try:
                score = validate(
                    self.scorer.score(
                        answer.response,
                        question.reference,
                        question=question.prompt_text,
                        truncated=answer.stop_reason == LIMIT,
                        tolerance=self.job.tolerance,
                    )
                )
            except Exception:
                self._record_bug(question)
                raise
        self.scores[number] = ScoreRecord(number, score)
        return self.scores[number]

    def answer_all(self) -> None:
        """Let the engine answer every question that has no answer yet; each answer is written at once."""
        job = self.job
        load = plugins.get("engines", job.engine)  # imports torch, which a finished exam does not need
        events.append(job.files.events, Phase(phase="imports"))
        engine = load(job)
        events.append(job.files.events, Phase(phase="model"))
        stop = SessionStopRule(self)
        # Written again, so that a line that a crash has truncated does not swallow the next one. Failed answers stay
        # until they are replaced: exams with another scorer have counted them.
        files.write(job.files.answers, files.to_jsonl(list(job.files.read_answers().values())))
        with job.files.answers.open("a", encoding="utf-8") as stream:

            def keep(generation: Generation) -> None:
                answer = stop.to_answer(generation)
                self.answers[answer.number] = answer
                stream.write(files.to_jsonl([answer]))
                stream.flush()
                events.append(job.files.events, Answered(num_done=len(self.answers), tokens=answer.tokens))

            remaining = [
                Prompt(number, question.messages, question.ids)
                for number, question in self.questions.items()
                if number not in self.answers
            ]
            engine.generate(remaining, stop, keep)


class SessionStopRule:
    """When a response of a session ends; see `swiftkit.exams.engines.StopRule`."""

    def __init__(self, session: ExamSession) -> None:
        job = session.job
        self.max_new_tokens = job.max_new_tokens
        self.is_interrupted: Callable[[], bool] = session.is_interrupted
        self._session = session
        self._tokenizer = tokenizers.read(job.tokenizer)
        self._stop_ids, self._stop_text = set(job.stop_ids), job.stop_text
        # Only a token with one of these characters can end a response otherwise; only then is the text looked at.
        closers = set(getattr(session.scorer, "CLOSERS", "")) | set((job.stop_text or "")[-1:])
        self._closing_ids = {i for token, i in self._tokenizer.get_vocab().items() if closers & set(token)}

    def after_token(self, number: int, ids: Sequence[int]) -> str:
        """By stop token, stop text, the scorer, or the limit."""
        if ids[-1] in self._stop_ids:
            return STOP
        if ids[-1] in self._closing_ids:
            text = self._decode(number, ids)
            if self._stop_text and text.rstrip().endswith(self._stop_text):
                return STOP
            if reason := self.after_text(number, text):
                return reason
        return LIMIT if len(ids) >= self.max_new_tokens else ""

    def after_text(self, number: int, text: str) -> str:
        """By the scorer."""
        return MARKER if self._session.is_done(self._session.questions[number], text) else ""

    def to_answer(self, generation: Generation) -> Answer:
        """The answer in a generation, without stop token and stop text."""
        number, reason = generation.number, generation.stop_reason
        if generation.error is not None:
            return Answer(number, "", 0, ERROR, generation.error)
        text = generation.text
        if text is None:
            ids = list(generation.ids)
            text = self._decode(number, ids[:-1] if ids and ids[-1] in self._stop_ids else ids)
        elif "</think>" in text and "<think>" not in text:
            text = thinking_prefix(self._tokenizer, self._session.questions[number].ids) + text
        if self._stop_text and reason == STOP:
            text = text.rstrip().removesuffix(self._stop_text)
        return Answer(number, text, generation.num_tokens, reason)

    def _decode(self, number: int, ids: Sequence[int]) -> str:
        prompt = self._session.questions[number].ids
        return thinking_prefix(self._tokenizer, prompt) + self._tokenizer.decode(list(ids))


def thinking_prefix(tokenizer: Any, prompt: list[int]) -> str:
    """The start of a thinking block, if the prompt ends with one: it belongs to the response."""
    end = tokenizer.decode(prompt[-4:], skip_special_tokens=False).rstrip()
    return "<think>\n" if end.endswith("<think>") else ""
