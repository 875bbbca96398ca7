"""The queries that need no model, one resource per file."""
