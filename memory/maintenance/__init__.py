"""Keeps the index equal to the database: rebuild, outbox, forgetting, reviews."""
