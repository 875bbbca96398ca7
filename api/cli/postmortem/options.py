"""The options of `arcpoint postmortem write`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import EXAMPLE_TIME, parse_time_option, parse_usd

_MAX_CONCURRENCY = 32


Incidents = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="Only this incident. Can be repeated.", show_default=False),
]
Since = Annotated[
    datetime | None,
    typer.Option(
        metavar="ISO",
        parser=parse_time_option,
        help=f"Only incidents resolved at or after this time: {EXAMPLE_TIME}.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for the files, instead of ARCPOINT_POSTMORTEM_PATH."),
]
TemplateName = Annotated[
    str, typer.Option(metavar="NAME|FILE.toml", help="Its sections: default, brief, or a file of your own.")
]
MaxCost = Annotated[
    Decimal | None,
    typer.Option(
        metavar="USD",
        parser=parse_usd,
        help="The most this run may cost. What does not fit is left, with exit code 3.",
        show_default=False,
    ),
]
RefreshStale = Annotated[
    bool, typer.Option("--refresh-stale", help="Also rewrite drafts whose incident has changed since.")
]
Concurrency = Annotated[
    int, typer.Option(min=1, max=_MAX_CONCURRENCY, help="How many are written at the same time.")
]
BatchApi = Annotated[
    bool,
    typer.Option(
        "--batch-api",
        help="Use the Message Batches API: half the price, within a day. Run it again to collect.",
    ),
]
