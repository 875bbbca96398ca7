"""Finds what a question names: models, backends, regions, tiers, users, incidents and requests."""
