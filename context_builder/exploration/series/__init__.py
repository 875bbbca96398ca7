"""Time series of the metrics by slice."""
