"""Records become rows of the database, one transaction a batch."""

from api.ingest.store.incidents import store_incidents
from api.ingest.store.requests import store_requests
from api.ingest.store.result import StoreResult

__all__ = ["StoreResult", "store_incidents", "store_requests"]
