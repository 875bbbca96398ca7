"""Puts together what a question says: its window, its scope, its sides, and what was not used. Pure."""
