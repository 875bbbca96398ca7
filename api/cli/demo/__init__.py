"""`arcpoint demo`."""
