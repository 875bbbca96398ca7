"""Demo data: one week of a gateway, the same for the same seed and anchor."""

from api.demo_data.generator import DemoDataError, DemoDataSummary, seed

__all__ = ["DemoDataError", "DemoDataSummary", "seed"]
