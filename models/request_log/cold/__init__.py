"""Cold days: closed days of the request log that lie in Parquet files, read by DuckDB.

Rollups, scores and everything else stay in the database. What a question or a page reads of single requests
comes from both, so it is the same before and after a day was moved.
"""

from models.request_log.cold.files import ColdFiles
from models.request_log.cold.reading import ColdPart, cold_part, log_rows

__all__ = ["ColdFiles", "ColdPart", "cold_part", "log_rows"]
