"""Requests as clients send them, and the few bodies that no result of the context builder is."""
