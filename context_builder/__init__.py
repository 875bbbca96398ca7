"""Builds the context of questions about an LLM gateway and answers them with one model call.

Public names are imported on first use, so that `import context_builder` loads neither database nor SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_MODULES = {
    "Answer": "context_builder.answer.answer",
    "Answerer": "context_builder.answering",
    "BudgetTooSmall": "context_builder.prompt.packing",
    "BuiltContext": "context_builder.builder",
    "ContextBuilder": "context_builder.builder",
    "ContextBuilderError": "context_builder.errors",
    "ContextRequest": "context_builder.question.request",
    "ContextSource": "context_builder.source",
    "Fact": "context_builder.source",
    "Manifest": "context_builder.prompt.manifest",
    "ModelUnavailable": "context_builder.llm.chat_model",
    "QuestionError": "context_builder.question.request",
    "QuestionInput": "context_builder.question.request",
    "ScopeNames": "context_builder.question.request",
    "Section": "context_builder.source",
    "Status": "context_builder.source",
    "Stores": "context_builder.source",
    "Topic": "context_builder.question.request",
}

if TYPE_CHECKING:
    from context_builder.answer.answer import Answer
    from context_builder.answering import Answerer
    from context_builder.builder import BuiltContext, ContextBuilder
    from context_builder.errors import ContextBuilderError
    from context_builder.llm.chat_model import ModelUnavailable
    from context_builder.prompt.manifest import Manifest
    from context_builder.prompt.packing import BudgetTooSmall
    from context_builder.question.request import (
        ContextRequest,
        QuestionError,
        QuestionInput,
        ScopeNames,
        Topic,
    )
    from context_builder.source import ContextSource, Fact, Section, Status, Stores

__all__ = [
    "Answer",
    "Answerer",
    "BudgetTooSmall",
    "BuiltContext",
    "ContextBuilder",
    "ContextBuilderError",
    "ContextRequest",
    "ContextSource",
    "Fact",
    "Manifest",
    "ModelUnavailable",
    "QuestionError",
    "QuestionInput",
    "ScopeNames",
    "Section",
    "Status",
    "Stores",
    "Topic",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
