"""Faults injected into a simulated fleet, to compare routing policies in one run."""
