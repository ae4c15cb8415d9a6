"""Conversations as text and tokens: the one renderer that training, exams, export and servers share."""
