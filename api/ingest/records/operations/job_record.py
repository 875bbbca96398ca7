"""One job on the fleet."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from api.ingest.records.fields import AnyCase, LongText, Target, UtcTime
from api.ingest.records.problems import ValueProblem
from api.ingest.records.record import NamedRecord
from models import JobStatus, JobType

FINAL_STATUSES = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobRecord(NamedRecord):
    """A rollout, drain or other job; later records of the same id move it forward."""

    kind: ClassVar[str] = "jobs"
    time_field: ClassVar[str] = "created_at"
    id_prefix: ClassVar[str] = "job_"

    type: Annotated[JobType, AnyCase]
    status: Annotated[JobStatus, AnyCase]
    target: Target
    detail: LongText = ""
    error: LongText | None = None
    created_by: Target | None = None
    created_at: UtcTime
    started_at: UtcTime | None = None
    finished_at: UtcTime | None = None

    @model_validator(mode="after")
    def _finished_has_a_time(self) -> Self:
        if (self.status in FINAL_STATUSES) != (self.finished_at is not None):
            accepted = "a job that succeeded, failed or was cancelled has one, others have none"
            raise ValueProblem("finished_at does not fit the status", f"{self.status}; {accepted}")
        if self.finished_at and self.finished_at < self.created_at:
            raise ValueProblem("finished before created_at", f"{self.finished_at} < {self.created_at}")
        return self
