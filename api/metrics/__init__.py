"""Prometheus metrics: what observed value objects count as, in one process or summed over several."""
