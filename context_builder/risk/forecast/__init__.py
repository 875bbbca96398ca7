"""Measures deployments and forecasts what comes of them."""
