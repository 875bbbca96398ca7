"""Shared reads of the gateway tables: rollups, fleet, events, logs."""
