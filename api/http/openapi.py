"""The OpenAPI description, with an example of everything that is sent or received."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.access.caller import Role
from api.http.problem import MEDIA_TYPE, RETRY_AFTER_S, Problem

_REF = "#/components/schemas/{model}"
_EXAMPLES: dict[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text("utf-8"))
_DECISION = re.compile("/(approve|reject)$")
"""Decisions respond with the same body as the path above them."""


class DescribedApp(FastAPI):
    """A FastAPI application whose description includes problem documents and examples."""

    def openapi(self) -> dict[str, Any]:
        """Return the description; it is built once."""
        if self.openapi_schema is None:
            description = super().openapi()
            schemas = description["components"]["schemas"]
            _, problem = models_json_schema([(Problem, "serialization")], ref_template=_REF)
            schemas |= problem["$defs"]
            for schema in schemas.values():
                for field in schema.get("properties", {}).values():
                    if "description" in field:  # written for readers of the Python code
                        field["description"] = re.sub(r"\bNone\b", "null", field["description"])
            schemes = description["components"]["securitySchemes"]
            schemes["x-api-key"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
            for path, methods in description["paths"].items():
                for operation in methods.values():
                    _add_role(operation)
                    _add_example(operation["responses"], _EXAMPLES["bodies"][_DECISION.sub("", path)])
        return super().openapi()


def _add_role(operation: dict[str, Any]) -> None:
    """Say which role an operation needs, for programs and for people."""
    roles = [role for needed in operation["security"] for role in needed["bearer"]]
    if not roles:
        operation["security"] = []
        return
    (role,) = roles
    operation["security"] = [{"bearer": [role]}, {"x-api-key": [role]}]
    operation["description"] += f"\n\nNeeds the role `{role}`."
    # Senders of telemetry get 503 instead of 429, which they do not send again.
    statuses = (401, 403, 503) if role == Role.INGEST else (401, 403, 429, 503)
    described = {str(status): response for status, response in problems(*statuses).items()}
    operation["responses"] = described | operation["responses"]


def _add_example(responses: dict[str, Any], example: Any) -> None:
    # Added last: FastAPI would drop what is null.
    for response in responses.values():
        if content := response["content"].get("application/json"):
            content["example"] = example


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a route that refuses or fails."""
    return {status: _response(status, _EXAMPLES["problems"][str(status)]) for status in statuses}


def events(description: str, example: str) -> dict[int | str, dict[str, Any]]:
    """Return the response of a route that can send server-sent events."""
    item = {
        "type": "object",
        "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        "required": ["event", "data"],
    }
    content = {"itemSchema": item, "example": example}
    return {200: {"description": description, "content": {"text/event-stream": content}}}


def query_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a query that fails; those that all queries share are included."""
    return problems(*statuses, 500, 503, 504) | {422: _response(422, _EXAMPLES["problems"]["parameters"])}


def _response(status: int, problem: dict[str, Any]) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    example = {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": "",
        "instance": "/v1/query",
        "request_id": "5b2d9c1f7a4e4a0f8f0f4f5a6c7d8e9f",
    } | problem
    response: dict[str, Any] = {
        "description": example["title"],
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}, "example": example}},
    }
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        seconds = {"schema": {"type": "integer"}, "example": RETRY_AFTER_S}
        response["headers"] = {"Retry-After": {"description": "Seconds to wait."} | seconds}
    return response
