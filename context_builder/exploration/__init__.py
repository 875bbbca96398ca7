"""Detects change points in the rollups, finds their drivers, and collects change events near them."""
