"""Incident memory: remembers resolved incidents and recalls the ones that resemble a question."""
