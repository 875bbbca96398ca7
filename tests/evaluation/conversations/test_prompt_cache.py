"""Inserting context keeps a prompt cache as warm as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.conversations.prompt_cache import CLIENTS, compare

pytestmark = pytest.mark.database


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_short_conversation_reads_what_it_read_before(tmp_path: Path, client: str) -> None:
    """At least 98 % of the direct share of reads, with nothing refused and something inserted."""
    compared = await compare(tmp_path, client, seed=2, turns=14)
    assert compared.direct.ratio > 0.5
    assert compared.kept >= 0.98
    assert (compared.refusals, compared.blocks > 1) == (0, True)
