"""The body of a Messages API request, for a single call or one entry of a batch."""

from __future__ import annotations

from anthropic.types import TextBlockParam
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from context_builder.llm.claude_options import ClaudeOptions
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.prompt_cache import CacheBreakpoint, cache_breakpoint


def request_body(prompt: Prompt, options: ClaudeOptions) -> MessageCreateParamsNonStreaming:
    """Build a request: rules as system text, one user message, a cache breakpoint if it can have effect."""
    end = cache_breakpoint(prompt, options.cache_minimum)
    stable = [_block(prompt.stable, ends_cache=end is CacheBreakpoint.STABLE)] if prompt.stable else []
    return {
        "model": options.model,
        "max_tokens": options.max_output_tokens,
        "system": [_block(prompt.system, ends_cache=end is CacheBreakpoint.SYSTEM)],
        "messages": [{"role": "user", "content": [*stable, _block(prompt.user)]}],
    }


def _block(text: str, *, ends_cache: bool = False) -> TextBlockParam:
    """Return a text block, marked if the cached prefix ends with it."""
    block = TextBlockParam(type="text", text=text)
    return {**block, "cache_control": {"type": "ephemeral"}} if ends_cache else block
