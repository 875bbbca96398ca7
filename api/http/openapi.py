"""The description of the HTTP interface, with an example for everything that is sent or received."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.http.problem import MEDIA_TYPE, RETRY_AFTER_S, Problem

_REF = "#/components/schemas/{model}"
_EXAMPLES: dict[int, dict[str, Any]] = {
    400: {
        "type": "urn:arcpoint:problem:malformed-json",
        "title": "The body is not JSON",
        "detail": "the body is not JSON: expecting value at character 13",
    },
    413: {"detail": "the body is too large; at most 1,000,000 bytes are accepted"},
    415: {"detail": "the body must be JSON, with the header Content-Type: application/json"},
    422: {
        "type": "urn:arcpoint:problem:body",
        "title": "The body cannot be used",
        "detail": "scope.tier: unknown field",
        "errors": [
            {
                "field": "scope.tier",
                "message": "unknown field",
                "accepted": ["deployments", "models", "backends", "tiers", "users", "incidents"],
            }
        ],
    },
    404: {
        "type": "urn:arcpoint:problem:unknown",
        "title": "Nothing has this name",
        "detail": "request 'req_1234' is not known; known are for example req_000123",
        "instance": "/v1/requests/req_1234",
    },
    409: {
        "type": "urn:arcpoint:problem:conflict",
        "title": "The state of things does not allow it",
        "detail": "incident 'inc_0119' is still active; a postmortem follows its end",
        "instance": "/v1/incidents/inc_0119/postmortem",
    },
    500: {"detail": "a fault of the service; its log has the details under this request_id"},
    503: {
        "type": "urn:arcpoint:problem:database",
        "title": "The database cannot be used",
        "detail": "the database cannot be used now; try again soon, /readyz says when",
    },
    504: {
        "type": "urn:arcpoint:problem:timeout",
        "title": "The query took too long",
        "detail": "no answer within 10 s; narrow the time span, or name users or deployments",
        "instance": "/v1/volume",
    },
}
_BAD_PARAMETERS: dict[str, Any] = {
    "type": "urn:arcpoint:problem:parameters",
    "title": "The parameters cannot be used",
    "detail": "tiers: unknown parameter",
    "instance": "/v1/volume",
    "errors": [
        {
            "field": "tiers",
            "message": "unknown parameter",
            "accepted": ["deployment", "model", "backend", "tier", "since", "until", "as_of"],
        }
    ],
}


class DescribedApp(FastAPI):
    """A FastAPI application whose description knows problem documents, and shows null in examples."""

    def openapi(self) -> dict[str, Any]:
        """The description; made once."""
        if self.openapi_schema is None:
            description = super().openapi()
            schemas = description["components"]["schemas"]
            _, problem = models_json_schema([(Problem, "serialization")], ref_template=_REF)
            schemas |= problem["$defs"]
            for schema in schemas.values():
                if "examples" in schema:
                    schema["examples"] = [_whole(example, schema, schemas) for example in schema["examples"]]
        return super().openapi()


def _whole(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """An example with the fields that are always sent and null in it: FastAPI drops what is null."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            schema = choice
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [_whole(each, schema.get("items", {}), schemas) for each in value]
    if not isinstance(value, dict):
        return value
    fields = schema.get("properties", {})
    nulls = {name: None for name in schema.get("required", ()) if name not in value}
    return {name: _whole(each, fields.get(name, {}), schemas) for name, each in (value | nulls).items()}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses with which a route refuses or fails."""
    return {status: _response(status, _EXAMPLES[status]) for status in statuses}


def query_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses with which a query fails; those that all have need not be named."""
    return problems(*statuses, 500, 503, 504) | {422: _response(422, _BAD_PARAMETERS)}


def _response(status: int, told: dict[str, Any]) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    example = {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": "",
        "instance": "/v1/query",
        "request_id": "5b2d9c1f7a4e4a0f8f0f4f5a6c7d8e9f",
    } | told
    response: dict[str, Any] = {
        "description": example["title"],
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}, "example": example}},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = {"schema": {"type": "integer"}, "example": RETRY_AFTER_S}
        response["headers"] = {"Retry-After": {"description": "Seconds to wait."} | seconds}
    return response
