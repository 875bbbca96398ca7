"""Shared queries and conditions on the gateway's tables and runbooks."""
