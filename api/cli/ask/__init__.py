"""`arcpoint ask` and `arcpoint chat`."""
