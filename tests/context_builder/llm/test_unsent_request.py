"""What a dry run shows is what a call sends, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from context_builder.llm.chat_model import ModelUnavailable
from context_builder.llm.claude_options import ClaudeOptions
from context_builder.llm.unsent_request import unsent_request
from tests.loopback.calls import PROMPT, ask
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import API_KEY, MessagesApi


async def test_the_request_that_is_kept_is_the_one_that_is_sent(
    make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """With whatever is in a prompt; keeping it sends nothing, and what cannot be sent is said."""
    options = ClaudeOptions(
        api_key=API_KEY,
        model="claude-sonnet-5-5",
        max_output_tokens=500,
        deadline_s=30.0,
        base_url=messages_api.url,
    )
    prompt = replace(PROMPT, user=f'{PROMPT.user} "ü\n\t\u2028🔥', stable="Always so.\n\n")
    kept = await unsent_request(prompt, options)
    assert messages_api.journal.requests == []
    await ask(await make_claude(), prompt)
    (sent,) = messages_api.journal.requests
    assert json.loads(kept.body) == sent.body
    assert len(kept.body) == int(sent.headers["content-length"])
    assert kept.url == f"{messages_api.url}/v1/messages"
    with pytest.raises(ModelUnavailable, match="not valid Unicode"):
        await unsent_request(replace(PROMPT, user="\ud800"), options)
