"""Forecasts of deployments, and the routing decisions that follow from them."""
