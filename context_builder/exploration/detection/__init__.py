"""Finds the changes of all metrics and slices in their time series, each told once. Pure."""
