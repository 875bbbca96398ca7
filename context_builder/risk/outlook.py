"""What is expected of a deployment within the next minutes, or why nothing is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

HORIZON = timedelta(minutes=5)
NO_EXPERT = "none"
"""`Outlook.expert` where there is no forecast."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of a deployment within HORIZON."""

    deployment_id: int
    moment: datetime
    """End of the last minute that it knows."""
    expert: str
    """Which forecaster speaks: `now`, `mean5`, ..., `lightgbm`; NO_EXPERT if there is no forecast."""
    skill: float | None
    """1 - error / error of "as now" over the trailing matured forecasts; None: too few have matured."""
    matured: int
    """Forecasts that `skill` is judged by."""
    latency_ms: float | None
    """Expected p95."""
    low_ms: float | None
    """Lower end of the 90 % interval."""
    high_ms: float | None
    baseline_ms: float | None
    """Usual p95 of the deployment."""
    limit_ms: float | None
    """The deployment's own limit: its SLO where set, else relative to its baseline."""
    load_rps: float | None
    """Expected requests per second."""
    headroom: float | None
    """Share of the limit that the current p95 leaves; negative above the limit."""
    breach_probability: float | None
    """That the limit is crossed within HORIZON; None: no forecast."""
    silence: str
    """Why there is no forecast, in words; empty if there is one."""
    anomaly: str
    """The feature that is off, in words; empty if none is."""
    last_false_alarm: datetime | None
    """When a breach was last forecast that did not come."""
