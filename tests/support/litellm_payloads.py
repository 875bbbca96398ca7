"""Payloads of the shape that LiteLLM 1.108 posts, as small as a test needs them."""

from __future__ import annotations

import json
from typing import Any

START = 1795957969.672706


def payload(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A successful call of 125 ms; the answer of every upstream has the same id."""
    return {
        "id": "chatcmpl-LOOP",
        "litellm_call_id": f"call-{number}",
        "trace_id": f"trace-{number}",
        "call_type": "acompletion",
        "cache_hit": None,
        "stream": None,
        "status": "success",
        "custom_llm_provider": "openai",
        "startTime": START + number,
        "endTime": START + number + 0.125,
        "completionStartTime": START + number + 0.1,
        "response_time": 0.1,
        "model": "openai/gpt-4o-mini",
        "metadata": {
            "user_api_key_hash": None,
            "user_api_key_alias": None,
            "user_api_key_user_id": "ann",
            "requester_ip_address": "127.0.0.1",
        },
        "response_cost": 3.6e-06,
        "cost_breakdown": {"input_cost": 1.8e-06, "total_cost": 3.6e-06},
        "prompt_tokens": 12,
        "completion_tokens": 3,
        "end_user": "end-user-7",
        "api_base": "https://api.openai.com/v1",
        "model_group": "chat",
        "model_id": "dep-a",
        "messages": [{"role": "user", "content": "Say hello."}],
        "response": {"choices": [{"message": {"content": "Hello."}}]},
        "error_information": {"error_code": "", "error_class": "", "error_message": "", "llm_provider": ""},
    } | changes


def failure(code: str, error_class: str, message: str, **changes: Any) -> dict[str, Any]:
    """A failed call, whose id is that of the call."""
    error = {"error_code": code, "error_class": error_class, "error_message": message, "llm_provider": ""}
    values: dict[str, Any] = {
        "id": "call-0",
        "status": "failure",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "response_cost": 0.0,
        "cost_breakdown": None,
        "error_information": error | {"normalized_error": f"{code}_X", "traceback": "  File x"},
    }
    return payload(**(values | changes))


def posted(*payloads: Any) -> bytes:
    """The body of a post."""
    return json.dumps(payloads).encode()
