"""Archives of incidents and their postmortems: Markdown with front matter, and JSON Lines."""

from api.archive.changes import ImportPolicy
from api.archive.documents import ArchiveRecord, ImportDefaults
from api.archive.errors import ArchiveError, DocumentRejected
from api.archive.exporter import export_archive
from api.archive.files import STANDARD_STREAM
from api.archive.importer import ImportOptions, ImportSummary, import_archive

__all__ = [
    "STANDARD_STREAM",
    "ArchiveError",
    "ArchiveRecord",
    "DocumentRejected",
    "ImportDefaults",
    "ImportOptions",
    "ImportPolicy",
    "ImportSummary",
    "export_archive",
    "import_archive",
]
