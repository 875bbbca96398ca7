"""`arcpoint proxy`: what the proxy changes of conversations, and what it has learnt."""

from __future__ import annotations

import typer

from api.cli.proxy import diff as proxy_diff
from api.cli.proxy import learned as proxy_learned

app = typer.Typer(no_args_is_help=True)
app.add_typer(proxy_diff.app)
app.add_typer(proxy_learned.app)
