"""Counts per minute and slice, which exploration compares."""
