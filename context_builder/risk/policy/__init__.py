"""Breaker, weights and routing decision: what is done about what was observed and forecast. Pure."""
