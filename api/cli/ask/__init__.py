"""`arcpoint ask` and `arcpoint chat`, answered by a running service or in this process."""
