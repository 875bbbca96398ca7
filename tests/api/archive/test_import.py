"""An archive goes in once, is followed when it changes, and never overwrites what people have done here."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from api.archive.postmortem_files import file_text
from context_builder.postmortems.records import PostmortemRecords
from memory.maintenance.reviews import approve, reject
from models import Deployment, Incident, Postmortem
from models.database import Database
from tests.support.archives import NOW, Archive, Import, change, emptied_outbox, numbers, postmortems, stored

DOCUMENT = "# Slow\n\n## Root cause\n\nQuota\n\n## Resolution\n\nRaised it\n"
EDITED = DOCUMENT.replace("Quota", "The quota of the fallback")
LATER = NOW + timedelta(days=1)


async def test_an_archive_goes_in_once_and_is_followed(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """The same again changes nothing and queues nothing; newer text updates, and only what it states."""
    async with database.write() as session:
        session.add(
            Deployment(
                public_id="gpt-4/aws", model="gpt-4", backend="aws", status="healthy", created_at=NOW,
                updated_at=NOW,
            )
        )  # fmt: skip
    archive.front("2024/a.md", target="gpt-4/aws", text=DOCUMENT)
    line = {"id": 7, "title": "Cut off", "sev": 2, "start": "2026-01-02T00:00Z", "fix": "Reverted"}
    archive.write("b.jsonl", json.dumps(line), "")
    assert numbers(await run_import()) == (2, 0, 0, 0)
    found = await stored(database)
    slow, cut = found["inc_1"], found["7"]
    assert (slow.root_cause, slow.resolution, slow.status) == ("Quota", "Raised it", "resolved")
    assert (slow.provenance, slow.review, slow.deployment_id) == ("import", "approved", 1)
    # It tells how it ended, though not when.
    assert (cut.severity, cut.status, cut.resolved_at) == ("high", "resolved", cut.started_at)
    written = (await postmortems(database))["inc_1"]
    assert (written.markdown, written.root_cause) == (f"{DOCUMENT}\n", "Quota")
    assert (written.provenance, written.status, written.reviewed_at) == ("import", "approved", NOW)
    assert (written.reviewed_by, written.edited_at, written.created_at) == (None, None, NOW)

    assert await emptied_outbox(database) > 0
    assert numbers(await run_import(at=LATER)) == (0, 0, 2, 0)
    assert await emptied_outbox(database) == 0

    archive.front("2024/a.md", target="gpt-4/aws", text=EDITED)
    assert numbers(await run_import(at=LATER)) == (0, 1, 1, 0)
    assert (await stored(database))["inc_1"].root_cause == "The quota of the fallback"
    written = (await postmortems(database))["inc_1"]
    assert (written.root_cause, written.created_at) == ("The quota of the fallback", NOW)
    archive.write("2024/a.md", "---", "id: inc_1", "severity: low", "---")
    assert numbers(await run_import()) == (0, 1, 1, 0)
    slow = (await stored(database))["inc_1"]
    assert (slow.severity, slow.title, slow.root_cause) == ("low", "Slow", "The quota of the fallback")
    assert (await postmortems(database))["inc_1"].markdown == f"{EDITED}\n"


@pytest.mark.parametrize(
    ("members", "review", "provenance"),
    [
        ({}, "approved", "import"),
        ({"status": "draft"}, "draft", "import"),
        ({"status": "rejected"}, "rejected", "import"),
        ({"provenance": "model"}, "draft", "model"),
        ({"provenance": "model", "status": "approved"}, "approved", "model"),
        ({"provenance": "human"}, "approved", "human"),
    ],
)
async def test_the_review_of_what_is_imported(
    database: Database,
    archive: Archive,
    run_import: Import,
    members: dict[str, str],
    review: str,
    provenance: str,
) -> None:
    """Approved by the owner of the archive unless it says otherwise; what a model wrote is a draft."""
    archive.front("a.md", text=DOCUMENT, **members)
    await run_import()
    incident, written = (await stored(database))["inc_1"], (await postmortems(database))["inc_1"]
    assert (incident.review, incident.provenance) == (review, provenance)
    assert (written.status, written.provenance) == (review, provenance)


async def test_a_decision_made_here_outlives_the_archive(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """The archive still says draft, or approved, when it is imported again; with --replace it wins."""
    archive.front("a.md", text=DOCUMENT, status="draft")
    archive.front("b.md", text=DOCUMENT, id="inc_2")
    await run_import()
    await approve(database, "inc_1", by="ada", at=NOW)
    await reject(database, "inc_2", by="ada", at=NOW)
    again = await run_import(at=LATER)
    assert numbers(again) == (0, 0, 2, 0)
    assert {name: row.review for name, row in (await stored(database)).items()} == {
        "inc_1": "approved",
        "inc_2": "rejected",
    }
    archive.front("a.md", text=EDITED, status="draft")
    again = await run_import(at=LATER)
    (note,) = again.notes
    assert note.endswith("kept as it is here: the postmortem, which a person has edited or reviewed;"
                         " --replace overwrites it")  # fmt: skip
    written = await postmortems(database)
    assert written["inc_1"].markdown == f"{DOCUMENT}\n"
    assert (written["inc_1"].status, written["inc_2"].status) == ("approved", "rejected")
    await run_import(at=LATER, replace=True)
    assert (await postmortems(database))["inc_1"].markdown == f"{EDITED}\n"
    assert (await stored(database))["inc_1"].review == "draft"


async def test_an_incident_of_the_log_is_completed_and_not_overwritten(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """Empty fields are filled; others are kept and reported, unless --replace is given."""
    await run_import(archive.front("a.md", resolved_at="null"))
    await change(database, (await stored(database)).values(), provenance="human", target="gpt-4/aws")
    archive.front("a.md", title="Another title", target="gpt-5/aws", text=DOCUMENT)
    first = await run_import()
    assert numbers(first) == (0, 1, 0, 0)
    (note,) = first.notes
    assert note.startswith(f"{archive.path}/a.md: kept as it is here: title, target; --replace")
    incident = (await stored(database))["inc_1"]
    assert (incident.title, incident.target, incident.provenance) == ("Slow", "gpt-4/aws", "human")
    assert (incident.status, incident.root_cause) == ("resolved", "Quota")
    assert numbers(await run_import()) == (0, 0, 1, 0)
    await run_import(replace=True)
    incident = (await stored(database))["inc_1"]
    assert (incident.title, incident.target, incident.provenance) == ("Another title", "gpt-5/aws", "import")


async def test_a_forgotten_incident_is_never_written_again(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """Not even with --replace; it is reported, and nothing is queued."""
    archive.front("a.md", text=DOCUMENT)
    await run_import()
    async with database.write() as session:
        for row in await session.scalars(Postmortem.__table__.select().with_only_columns(Postmortem.id)):
            await session.delete(await session.get_one(Postmortem, row))
    erased = {"title": "[forgotten]", "root_cause": None, "resolution": None, "forgotten_at": NOW}
    await change(database, (await stored(database)).values(), **erased)
    await emptied_outbox(database)
    for replace in (False, True):
        summary = await run_import(replace=replace)
        assert (numbers(summary), summary.forgotten) == ((0, 0, 0, 0), 1)
        assert summary.notes == [
            f"{archive.path}/a.md: incident inc_1 was forgotten here; it is not written again"
        ]
    assert await emptied_outbox(database) == 0
    assert (await stored(database))["inc_1"].root_cause is None
    assert await postmortems(database) == {}


async def test_what_cannot_be_imported_is_reported_and_the_rest_is_imported(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """Each with file, line and field, in the order of the archive."""
    archive.front("a.md", severity="purple")
    archive.front("b.md", id="inc_2")
    archive.front("c.md", id="inc_3", severity="")
    archive.write("d.jsonl", '{"id": "inc_2"}', "", "{", '{"id": "inc_5", "title": "x", "date": "soon"}')
    archive.front("e.md", id="inc_6", title="x\0y")
    summary = await run_import()
    assert numbers(summary) == (1, 0, 0, 6)
    places = [str(each.location).removeprefix(f"{archive.path}/") for each in summary.rejected]
    assert places == ["a.md", "c.md", "d.jsonl:1", "d.jsonl:3", "d.jsonl:4", "e.md:3"]
    fields = [each.field for each in summary.rejected]
    assert fields == ["severity", "severity", "id", "line", "started_at", "text"]
    assert "is in this archive already" in summary.rejected[2].reason
    assert summary.documents == 7
    assert set(await stored(database)) == {"inc_2"}
    # Times that contradict the stored ones are rejected too.
    archive.write("f.jsonl", '{"id": "inc_2", "started_at": "2027-01-01T00:00Z"}')
    summary = await run_import(archive.path / "f.jsonl")
    assert [each.field for each in summary.rejected] == ["started_at"]


async def test_a_dry_run_reports_the_same_and_writes_nothing(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """Neither incidents nor anything for memory."""
    archive.front("a.md", text=DOCUMENT)
    archive.front("b.md", severity="purple")
    assert numbers(await run_import(dry_run=True)) == (1, 0, 0, 1)
    assert await stored(database) == {}
    assert numbers(await run_import()) == (1, 0, 0, 1)
    archive.front("a.md", text=EDITED)
    assert numbers(await run_import(dry_run=True)) == (0, 1, 0, 1)
    assert (await stored(database))["inc_1"].root_cause == "Quota"


async def test_an_import_that_stops_half_way_is_completed_by_the_next(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """What a batch has committed stays, and is not done again."""
    lines = [
        json.dumps(
            {"id": f"inc_{n}", "title": f"T {n}", "sev": 1, "start": "2026-01-01T00:00Z", "body": "Over."}
        )
        for n in range(50)
    ]
    archive.write("a.jsonl", *lines)
    commits = 0

    @event.listens_for(database.write_engine.sync_engine, "commit")
    def stop(_: Any) -> None:
        nonlocal commits
        commits += 1
        if commits == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run_import(per_batch=10)
    assert len(await stored(database)) == 20
    assert len(await postmortems(database)) == 20
    event.remove(database.write_engine.sync_engine, "commit", stop)
    assert numbers(await run_import(per_batch=10)) == (30, 0, 20, 0)
    assert len(await postmortems(database)) == 50


async def test_two_imports_at_the_same_time_add_each_once(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """Whichever is first, the other finds it."""
    lines = [
        json.dumps({"id": f"inc_{n}", "title": "T", "sev": 1, "start": "2026-01-01T00:00Z", "body": "Over."})
        for n in range(40)
    ]
    archive.write("a.jsonl", *lines)
    both = await asyncio.gather(run_import(per_batch=7), run_import(per_batch=11))
    assert sum(summary.added for summary in both) == sum(summary.unchanged for summary in both) == 40
    assert len(await postmortems(database)) == 40


@pytest.fixture
async def own_file(database: Database, archive: Archive) -> Path:
    """A postmortem by a model, and the file that the product writes of it."""
    async with database.write() as session:
        row = Incident(
            public_id="inc_1", title="Slow", severity="high", status="resolved", started_at=NOW,
            resolved_at=NOW, root_cause="Recorded",
        )  # fmt: skip
        session.add(row)
        await session.flush()
        written = {
            "provenance": "model",
            "markdown": DOCUMENT,
            "summary": "",
            "model": "m",
            "created_at": NOW,
        }
        session.add(Postmortem(incident_id=row.id, **written))
    path = archive.path / "inc_1.md"
    await _write_own(database, path)
    await emptied_outbox(database)
    return path


async def _write_own(database: Database, path: Path) -> None:
    written = await PostmortemRecords(database).get("inc_1")
    assert written is not None
    await asyncio.to_thread(path.write_text, file_text(written), "utf-8")


async def _edit(path: Path, old: str, new: str) -> None:
    content = await asyncio.to_thread(path.read_text, "utf-8")
    assert old in content
    await asyncio.to_thread(path.write_text, content.replace(old, new), "utf-8")


async def test_an_edited_file_of_ours_becomes_the_persons_text(
    database: Database, own_file: Path, run_import: Import
) -> None:
    """As it is it changes nothing; edited it is the text, whose record stays; edited again it follows."""
    assert numbers(await run_import()) == (0, 0, 1, 0)
    assert await emptied_outbox(database) == 0
    await _edit(own_file, "Quota", "Leak")
    assert numbers(await run_import(at=LATER)) == (0, 1, 0, 0)
    written = (await postmortems(database))["inc_1"]
    assert (written.root_cause, written.provenance, written.edited_at) == ("Leak", "human", LATER)
    assert (written.status, written.model) == ("draft", "m")
    incident = (await stored(database))["inc_1"]
    assert (incident.root_cause, incident.provenance) == ("Recorded", "human")
    assert numbers(await run_import()) == (0, 0, 1, 0)
    # A file that was made from another text than there is now would undo an edit.
    await _edit(own_file, "Leak", "Another leak")
    summary = await run_import()
    assert (numbers(summary), len(summary.notes)) == ((0, 0, 1, 0), 1)
    await _write_own(database, own_file)
    await _edit(own_file, "Leak", "Another leak")
    assert numbers(await run_import()) == (0, 1, 0, 0)
    assert (await postmortems(database))["inc_1"].root_cause == "Another leak"


async def test_a_file_of_ours_marked_approved_is_approved(
    database: Database, own_file: Path, run_import: Import
) -> None:
    """By who imports it; an old copy that says draft takes nothing back."""
    draft = await asyncio.to_thread(own_file.read_text, "utf-8")
    await _edit(own_file, 'status: "draft"', "status: approved")
    await run_import(at=LATER)
    written = (await postmortems(database))["inc_1"]
    assert (written.status, written.reviewed_by, written.reviewed_at) == ("approved", "ada", LATER)
    assert written.provenance == "model"
    await asyncio.to_thread(own_file.write_text, draft, "utf-8")
    assert numbers(await run_import()) == (0, 0, 1, 0)
    await _edit(own_file, "Quota", "Leak")
    assert len((await run_import()).notes) == 1
    await run_import(replace=True)
    written = (await postmortems(database))["inc_1"]
    # Who approved another text did not approve this one.
    assert (written.root_cause, written.status, written.reviewed_by) == ("Leak", "draft", None)


async def test_an_old_copy_of_ours_changes_nothing(
    database: Database, own_file: Path, run_import: Import
) -> None:
    """It was not edited, so it holds nothing that was not here before."""
    await change(database, (await postmortems(database)).values(), markdown=EDITED)
    summary = await run_import(replace=True)
    assert (numbers(summary), summary.notes) == ((0, 0, 1, 0), [])
    assert (await postmortems(database))["inc_1"].markdown == EDITED
    async with database.write() as session:
        await session.delete(await session.get_one(Postmortem, 1))
    assert numbers(await run_import()) == (0, 1, 0, 0)
    written = (await postmortems(database))["inc_1"]
    assert (written.provenance, written.status, written.model) == ("model", "draft", "m")
    assert own_file.name == "inc_1.md"
