"""Exploration: what a good engineer would dig out of the rollups before asking anybody."""
