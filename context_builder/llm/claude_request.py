"""A prompt as the Messages API takes it, alone or in a batch."""

from __future__ import annotations

from anthropic.types import TextBlockParam
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from context_builder.prompt.prompt import Prompt
from context_builder.prompt.prompt_cache import Breakpoint, breakpoint_of


def request_of(
    prompt: Prompt, *, model: str, max_output_tokens: int, cache_minimum: int
) -> MessageCreateParamsNonStreaming:
    """The rules as system text and one user message; the prefix that can be cached is marked."""
    cached = breakpoint_of(prompt, cache_minimum)
    stable = [_block(prompt.stable, is_last_cached=cached is Breakpoint.STABLE)] if prompt.stable else []
    return {
        "model": model,
        "max_tokens": max_output_tokens,
        "system": [_block(prompt.system, is_last_cached=cached is Breakpoint.SYSTEM)],
        "messages": [{"role": "user", "content": [*stable, _block(prompt.user)]}],
    }


def _block(text: str, *, is_last_cached: bool = False) -> TextBlockParam:
    """A text of the prompt; the last one of the cached prefix says so."""
    block = TextBlockParam(type="text", text=text)
    return {**block, "cache_control": {"type": "ephemeral"}} if is_last_cached else block
