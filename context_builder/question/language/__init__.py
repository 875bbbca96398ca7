"""Puts the words of time, exclusion, comparison, tier and topic of six languages into English. Pure."""
