"""`arcpoint keys` and `arcpoint audit`: who may use the service, and who did."""
