"""Exams: questions, responses, scores, and the record of all three."""
