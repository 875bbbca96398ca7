"""Valid documents of every format that comes from elsewhere, as hostile ones are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.support.litellm_payloads import failure, payload

START, END = "2026-11-29T12:41:11.586675411Z", "2026-11-29T12:47:18Z"
TRACES = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "openinference"},
                    "spans": [
                        {
                            "traceId": "AAAAAAAAAAAAAAAAAAAAAQ==",
                            "spanId": "AAAAAAAAAAE=",
                            "parentSpanId": "AAAAAAAAAAI=",
                            "startTimeUnixNano": "1795956803544888588",
                            "endTimeUnixNano": "1795956803644888588",
                            "status": {"code": 2, "message": "Overloaded"},
                            "attributes": [
                                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                                {"key": "gen_ai.provider.name", "value": {"stringValue": "anthropic"}},
                                {"key": "gen_ai.request.model", "value": {"stringValue": "claude"}},
                                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
                                {"key": "llm.cost", "value": {"doubleValue": 0.5}},
                                {"key": "error.type", "value": {"stringValue": "429"}},
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}
LOGS = {
    "resourceLogs": [
        {
            "scopeLogs": [
                {
                    "logRecords": [
                        {
                            "severityNumber": 17,
                            "body": {"stringValue": "no memory"},
                            "timeUnixNano": "1795956803",
                        },
                        {
                            "eventName": "gen_ai.evaluation.result",
                            "traceId": "AAAAAAAAAAAAAAAAAAAAAQ==",
                            "spanId": "AAAAAAAAAAE=",
                            "attributes": [
                                {"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.75}}
                            ],
                        },
                    ]
                }
            ]
        }
    ]
}
DOCUMENTS: dict[str, Sequence[Any]] = {
    "alertmanager": [
        {
            "version": "4", "status": "firing", "truncatedAlerts": 1,
            "alerts": [
                {
                    "status": "firing", "labels": {"alertname": "Slow", "model": "llama", "severity": "page"},
                    "annotations": {"summary": "Slow"}, "startsAt": START, "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "http://127.0.0.1/graph", "fingerprint": "f00",
                }
            ],
        }
    ],
    "cloudevents": [
        {
            "specversion": "1.0", "id": "deploy-1", "source": "https://ci.example/42", "time": START,
            "type": "dev.cdevents.service.upgraded.0.2.0", "subject": "gpt-4/aws",
            "data": {"artifactId": "pkg:oci/vllm@v2", "secret": {"deep": [1]}},
        }
    ],
    "github": [
        {
            "deployment_status": {"state": "error", "updated_at": END, "description": "boom"},
            "deployment": {"id": 7, "created_at": START, "environment": "production", "ref": "v2"},
            "repository": {"full_name": "octo/gateway"}, "sender": {"login": "octocat"},
        }
    ],
    "incidentio": [
        {
            "event_type": "public_incident.incident_created_v2",
            "public_incident.incident_created_v2": {
                "id": "01F", "name": "Slow", "summary": "p95", "created_at": START, "updated_at": END,
                "severity": {"name": "Major", "rank": 2}, "incident_status": {"category": "closed"},
                "incident_timestamp_values": [
                    {"incident_timestamp": {"name": "Resolved at"}, "value": {"value": END}},
                    {"incident_timestamp": {"name": "Closed at"}, "value": None},
                ],
            },
        }
    ],
    "launchdarkly": [
        {
            "_id": "57c", "date": 1795953600000, "kind": "flag", "name": "New", "titleVerb": "turned on",
            "accesses": [{"action": "updateOn", "resource": "proj/web:env/production:flag/new-model"}],
            "member": {"email": "ann@example.com"},
        }
    ],
    "litellm": [[payload(), failure("429", "RateLimitError", "slow down"), payload(1, stream=True)]],
    "otlp traces": [TRACES],
    "otlp logs": [LOGS],
    "otlp metrics": [{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a", "gauge": {}}]}]}]}],
    "pagerduty": [
        {
            "event": {
                "id": "e", "event_type": "incident.resolved", "occurred_at": END,
                "data": {
                    "id": "Q1", "type": "incident", "title": "Slow", "status": "resolved",
                    "created_at": START, "urgency": "high", "service": {"summary": "gpt-4/aws"},
                    "assignees": [{"summary": "ann"}],
                },
            }
        }
    ],
    "statuspage": [
        {
            "page": {"id": "p", "updated_at": END},
            "incident": {
                "id": "k1", "name": "Errors", "status": "resolved", "impact": "minor", "created_at": START,
                "updated_at": END, "resolved_at": END, "components": [{"name": "API"}],
                "incident_updates": [{"body": "Fixed."}, {"body": "We look at it."}],
            },
        }
    ],
}  # fmt: skip
"""Of each receiver what its senders send."""
CONVERSATION = {
    "model": "claude-sonnet-5-5", "max_tokens": 10, "stream": True,
    "system": [{"type": "text", "text": "Help."}],
    "tools": [{"name": "add", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": "Add 1 and 2, and 3."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "…", "signature": "x"},
                {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "3"}]}
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "3", "cache_control": {"type": "ephemeral"}}],
        },
        {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "aGk="}}]},
    ],
}  # fmt: skip
EVENTS = b"""event: message_start
data: {"type":"message_start","message":{"model":"c","content":[],"usage":{"input_tokens":9}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

"""
REPLY = b'{"type":"message","model":"c","content":[{"type":"text","text":"Hi"}],"usage":{"input_tokens":9}}'
MAPPING = b"""[file]
zone = "Europe/Paris"
delimiter = ";"
time_format = "%d.%m.%Y %H:%M"
decimal = ","
thousands = "."

[requests]
created_at = "created"
latency_ms = { start = "s", end = "e", unit = "s" }
tier = { constant = "standard" }
status = { column = "st", default = "success", values = { OK = "success", 1 = "error" }, optional = true }
"""
CSV = b"""created_at,user,tier,model,backend,status,latency_ms,cost_usd
2026-01-01 00:00:01Z,ann,premium,gpt-4,aws,success,900,0.25
2026-01-01T00:00:02+02:00,"b""o,b",budget,gpt-4,gcp,error,,"1
0"
"""
PAGE = b"""---
id: inc_7
severity: high
started_at: 2026-11-20T08:00:00Z
tags: [a, "b"]
---

# Postmortem: gpt-4/aws was slow

| Field | Value |
|---|---|
| Resolved | 2026-11-20 09:30 UTC |
| Duration | 1 h 30 min |

**Severity:** SEV2 on 20 November 2026, 08:00 (CET)

## Root cause

A disk was full: see <https://example.com/a> and `df -h`.

```sh
restart
```
"""
INCIDENT = {
    "id": "inc_7", "title": "Slow", "severity": "high", "started_at": START,
    "postmortem": "# A\n\n## Root cause\n\nB",
}  # fmt: skip
QUESTIONS = [
    b"Why were premium users slow between 8 and half past nine last Tuesday, but not on Sunday 2026-11-15?",
    b"Compare the last 3 days with the 4 weeks before the outage of inc_0101, in Europe/Berlin, since 07:12Z",
    "Warum war gpt-4/aws zwischen dem 3. und 5. März 2026 langsam? ¿Qué pasó ayer?".encode(),
]
PROXY_FILE = b"""[[upstreams]]
name = "one"
url = "https://api.example.com/v1"
api_key = "k"

[[users]]
digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
user = "ann"
tier = "premium"
"""
