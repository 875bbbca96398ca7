"""`arcpoint proxy`."""
