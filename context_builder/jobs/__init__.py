"""Ownership of work that outlives a process: leases on rows, taken over from a dead or silent owner."""
