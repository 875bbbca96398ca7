"""Forecasts many deployments at once, minute by minute."""
