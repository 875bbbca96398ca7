"""The policy numbers of prompt and answer, each pinned once: a change here is a decision."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from context_builder import builder
from context_builder.answer import brief, closing, confidence, grounding
from context_builder.llm import pricing
from context_builder.prompt import (
    calibration,
    candidates,
    packing,
    selection,
    stable_facts,
    summaries,
    tokens,
)

POLICY: dict[ModuleType, dict[str, object]] = {
    packing: {
        "SUMMARY_SHARE": 0.4,
        "MAX_NAME_CHARACTERS": 220,
        "MAX_LABELS": 20,
        "MAX_UNKNOWN_NAMES": 10,
        "MAX_NOT_USED": 6,
        "MAX_NOTES": 4,
        "MAX_PART_CHARACTERS": 60,
        "MAX_NOTE_CHARACTERS": 145,
    },
    selection: {
        "MIN_FULL_UTILITY": 0.3,
        "MIN_LINE_TOKENS": 6,
        "COMPLETION_VALUE": 0.7,
        "ON_TOPIC_SHARE": 0.5,
        "OFF_TOPIC_SHARE": 0.15,
    },
    candidates: {
        "OFF_TOPIC_RELEVANCE": 0.35,
        "MIN_TOPIC_RELEVANCE": 0.6,
        "HALVING_RANK": 8,
        "KEYWORD_GAIN": 0.5,
    },
    stable_facts: {"MIN_BUDGET": 3_000, "STABLE_SHARE": 0.15},
    summaries: {"MAX_KINDS": 3, "FIRST_NARROW": 2},
    tokens: {"FRAMING_TOKENS": 32, "DEFAULT_FACTOR": 1.3, "MIN_FACTOR": 1.0, "MAX_FACTOR": 2.0},
    calibration: {"MARGIN": 0.05, "MIN_SAMPLES": 20, "MAX_SAMPLES": 200},
    confidence: {"MIN_IMPORTANT": 0.6, "MIN_UNSUPPORTED_FOR_LOW": 3, "MIN_NOT_USED_FOR_LOW": 3},
    brief: {"MAX_LINES": 12, "MAX_PER_SOURCE": 2, "MAX_OTHERS": 2, "MIN_OTHER_IMPORTANCE": 0.7},
    closing: {"MAX_LINE": 160, "MAX_LINES_OF_ONE_KIND": 2},
    grounding: {"_MIN_CODE": 100, "_SAME_UNIT_ONLY": ("%", "times")},
    builder: {"MAX_READERS": 4, "MAX_FREQUENT": 8, "RESOLVE_DEADLINE_S": 10.0},
    pricing: {"UNKNOWN_CACHE_MINIMUM": 4_096},
}


@pytest.mark.parametrize("module", POLICY, ids=lambda module: module.__name__)
def test_a_policy_number_changes_only_on_purpose(module: ModuleType) -> None:
    """Law 1 and the confidence rest on these numbers."""
    assert {name: getattr(module, name) for name in POLICY[module]} == POLICY[module]


def test_every_tokenizer_has_its_measured_factor() -> None:
    """Law 1: newer models split common words, older ones hold them whole."""
    table = tomllib.loads(Path(tokens.__file__).with_name("tokenizers.toml").read_text("utf-8"))
    newer = {"factor": 1.3, "whole_words": False}
    older = {"factor": 1.1, "whole_words": True}
    assert table["unknown"] == newer
    assert table["models"] == {
        "claude-2": {"factor": 1.0, "whole_words": True},
        **dict.fromkeys(("claude-3", "claude-opus-4-1", "claude-opus-4-5", "claude-opus-4-6"), older),
        **dict.fromkeys(("claude-sonnet-4-5", "claude-haiku-4-5"), older),
        **dict.fromkeys(("claude-opus-4-7", "claude-opus-5", "claude-sonnet-5", "claude-haiku-5"), newer),
        "claude-fable-5": newer,
    }
