"""The only way to store requests: appends them and keeps their rollups consistent."""

from models.request_log.bulk import among, bulk_of, dialect_of
from models.request_log.cold.delivered import without_cold
from models.request_log.days import share_days
from models.request_log.partitions import make_partitions
from models.request_log.rollups import add_rollups
from models.request_log.rows import NewRequest, insert_requests
from models.request_log.spend import add_spend
from models.request_log.time_buckets import bucket_start

__all__ = ["NewRequest", "among", "append", "append_new", "bucket_start", "dialect_of"]

from collections.abc import Sequence

from models.database import WriteSession


async def append(session: WriteSession, requests: Sequence[NewRequest]) -> dict[str, int]:
    """Append the requests that are new; return their database ids by public id. Raises ColdDayUnreadable."""
    return {request.public_id: row_id for row_id, request in await append_new(session, requests)}


async def append_new(session: WriteSession, requests: Sequence[NewRequest]) -> list[tuple[int, NewRequest]]:
    """Append the requests that are new, of equal ones the first; return them with their database ids.

    Raises:
        ColdDayUnreadable: A request is of a cold day whose file cannot be asked whether it is there.
    """
    if not requests:
        return []
    await share_days(session, (each.created_at for each in requests))
    left = await without_cold(session, requests)
    await make_partitions(session, (each.created_at for each in left))
    bulk = bulk_of(session)
    new = await insert_requests(bulk, left)
    if new:
        await add_rollups(bulk, new)
        await add_spend(bulk, new)
    return new
