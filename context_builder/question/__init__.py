"""Resolves a question in words to ids and a time window."""
