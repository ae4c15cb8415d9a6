"""Scoring: answer markers, the equality of answers, and the scorers."""
