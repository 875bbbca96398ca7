"""Demo data: one week of a gateway, as records, the same for the same seed and anchor."""

from api.demo_data.generator import DemoData, DemoDataError, DemoDataSummary, generate, seed

__all__ = ["DemoData", "DemoDataError", "DemoDataSummary", "generate", "seed"]
