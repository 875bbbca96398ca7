"""Demo data: one week of a gateway as records, which `arcpoint demo` posts and `db seed` stores."""

from api.demo_data.generator import DemoData, DemoDataError, DemoDataSummary, generate, seed

__all__ = ["DemoData", "DemoDataError", "DemoDataSummary", "generate", "seed"]
