"""Postmortems through the Message Batches API."""
