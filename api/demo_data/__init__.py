"""The demo story: one week of a gateway's life, the same for the same seed and anchor."""

from api.demo_data.generator import StoryError, StorySummary, seed

__all__ = ["StoryError", "StorySummary", "seed"]
