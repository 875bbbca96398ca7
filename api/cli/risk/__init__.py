"""`arcpoint risk`."""
