"""The file front end: CSV, JSON Lines and Parquet become records through a mapping of columns to fields."""

from api.ingest.files.bindings import Bindings, bind
from api.ingest.files.mapping import ColumnMapping, load_mapping

__all__ = ["Bindings", "ColumnMapping", "bind", "load_mapping"]
