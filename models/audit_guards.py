"""The triggers that keep the audit trail as it was written, as each database has them."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_EXPECTED = {
    "sqlite": frozenset({"refuse_audit_update", "refuse_audit_delete", "check_audit_entry"}),
    "postgresql": frozenset({"refuse_audit_change", "check_audit_entry"}),
}
_FOUND = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entries'",
    # One that is disabled, or fires on replicas only, is as good as none.
    "postgresql": "SELECT tgname FROM pg_trigger"
    " WHERE tgrelid = 'audit_entries'::regclass AND tgenabled IN ('O', 'A')",
}


async def missing_audit_guards(session: AsyncSession) -> list[str]:
    """Return the triggers that are not there, or do not fire."""
    dialect = session.get_bind().dialect.name
    return sorted(_EXPECTED[dialect].difference(await session.scalars(text(_FOUND[dialect]))))
