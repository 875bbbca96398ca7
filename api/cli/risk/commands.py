"""`arcpoint risk`: forecasts of deployments, their model, and how good they are."""

from __future__ import annotations

import asyncio
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import AsJson, AsOf
from api.cli.risk.backtest_table import backtest_table
from api.cli.risk.chaos import chaos
from api.cli.risk.status_table import status_tables
from api.cli.terminal.json_output import say_json
from api.cli.terminal.progress_bar import progress_bar
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import plain_lines
from api.http.json_body import to_document
from api.retraining import TRAINED_DAYS, read_past
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.risk.forecast.backtest import backtest as backtest_series
from context_builder.risk.forecast.backtest import read_series
from context_builder.risk.forecast.forecaster import Forecaster
from context_builder.risk.learning.model_file import ModelCard, newest_model
from context_builder.risk.measures.fleet_series import failed_percent, mean_latency_ms
from context_builder.risk.measures.reading import REMEMBERED
from context_builder.risk.policy.arms import declared_blocks
from context_builder.risk.records.objectives import set_objective
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count, format_time

app = typer.Typer(no_args_is_help=True)
app.command()(chaos)

MAX_DAYS = 31


@app.command()
def backtest(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="CSV with a heading; its first columns: time, value.")
    ],
    limit: Annotated[
        float | None,
        typer.Option(help="Value above which is a breach; by default the 95th percentile of the first half."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Forecast a series of the past five minutes ahead, and compare with simple forecasts."""
    if limit is not None and not math.isfinite(limit):
        raise typer.BadParameter(f"--limit {limit} is no number that a value can exceed")
    series = read_series(file)
    with progress_bar("forecasting") as progress:
        report = backtest_series(series, limit, report=progress)
    if as_json:
        say_json(to_document(report))
    else:
        for line in plain_lines(backtest_table(file.name, report)):
            say(line)


@app.command()
def train(
    days: Annotated[
        int, typer.Option(min=1, max=MAX_DAYS, help="Days of traffic to train on.")
    ] = TRAINED_DAYS,
    as_of: AsOf = None,
) -> None:
    """Train the forecasting model on the traffic in the database; the old one serves until it is stored."""
    settings = load_settings()
    now = as_of or utc_now()
    past = asyncio.run(read_past(settings, now, timedelta(days=days)))
    from context_builder.risk.learning.training import train_into  # noqa: PLC0415  loads LightGBM

    with progress_bar("replaying minutes") as progress:
        card = train_into(settings.risk_path, past.minutes, utc_now(), report=progress)
    say(_trained(card))


@app.command()
def objective(
    deployment: Annotated[str, typer.Argument(help="`model/backend`.")],
    milliseconds: Annotated[
        int | None, typer.Argument(min=1, max=86_400_000, help="p95 latency above which it is in breach.")
    ] = None,
    *,
    remove: Annotated[bool, typer.Option(help="Remove it: the limit follows from what is usual.")] = False,
) -> None:
    """Set the latency objective of a deployment, which its forecasts are about."""
    if (milliseconds is None) is not remove:
        raise typer.BadParameter("give the milliseconds, or --remove")
    asyncio.run(_set_objective(load_settings(), deployment, milliseconds))
    limit = "follows from what is usual" if milliseconds is None else f"is {milliseconds:,} ms"
    say(f"the limit of {deployment} {limit}")


@app.command()
def effect(
    days: Annotated[float, typer.Option(min=0.1, max=MAX_DAYS, help="Days of the test, up to now.")] = 7.0,
    as_of: AsOf = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Measure what the routing policy has changed, from a service in mode switchback."""
    settings = load_settings()
    now = as_of or utc_now()
    past = asyncio.run(read_past(settings, now, timedelta(days=days)))
    from api.cli.risk.effect_table import (  # noqa: PLC0415  scipy takes a second
        effect_table,
        effects_document,
        measure_effects,
    )

    blocks = declared_blocks(
        now - timedelta(days=days), now, block=timedelta(minutes=settings.risk_block_min)
    )
    series = {
        "mean latency, ms": mean_latency_ms(past.minutes),
        "failed, %": failed_percent(past.minutes),
    }
    effects = measure_effects(blocks, series)
    if as_json:
        say_json(effects_document(effects))
        return
    for line in plain_lines(effect_table(blocks, effects)):
        say(line)


@app.command()
def status(as_of: AsOf = None, *, as_json: AsJson = False) -> None:
    """Show the model in use and what is expected of each deployment."""
    settings = load_settings()
    now = as_of or utc_now()
    model, refused = newest_model(settings.risk_path)
    past = asyncio.run(read_past(settings, now, REMEMBERED))
    forecaster = Forecaster(objectives=past.objectives, trained=model)
    forecaster.observe_all(past.minutes)
    outlooks = {past.names.get(number, str(number)): one for number, one in forecaster.tick(now).items()}
    if as_json:
        card = None if model is None else to_document(model.card)
        shown = {name: to_document(outlooks[name]) for name in sorted(outlooks)}
        say_json({"model": card, "refused": list(refused), "outlooks": shown})
        return
    for table in status_tables(None if model is None else model.card, refused, outlooks):
        for line in plain_lines(table):
            say(line)


async def _set_objective(settings: Settings, deployment: str, objective_ms: int | None) -> None:
    async with open_database(settings) as database, database.write() as session:
        await set_objective(session, deployment, objective_ms)


def _trained(card: ModelCard) -> str:
    since, until = (format_time(datetime.fromisoformat(text)) for text in (card.data_from, card.data_until))
    return (
        f"trained on {format_count(card.pairs, 'forecast')} from {since} to {until} UTC: "
        f"{card.skill_against_now:.1%} less error than assuming no change, "
        f"{card.skill_against_average:.1%} less than the moving average, on the newest fifth"
    )
