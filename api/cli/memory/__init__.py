"""`arcpoint memory`."""
