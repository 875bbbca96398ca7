"""The interfaces of Arcpoint: `from api import query_ai`, the HTTP service and the command line."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING


def _refuse_shadowed_packages() -> None:
    """Fail at once if another installed package hides one of ours: the names are generic."""
    home = Path(__file__).resolve().parent.parent
    for name in ("models", "memory", "context_builder"):
        spec = find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent.parent != home:
            found = "nothing" if spec is None else spec.origin or "a folder without code"
            raise ImportError(
                f"Arcpoint needs its own package {name!r} in {home}, but Python finds {found}; "
                "install Arcpoint in an environment of its own"
            )


_refuse_shadowed_packages()

_HOMES = {
    "Answer": "context_builder.answer.answer",
    "QuestionError": "context_builder.question.request",
    "ScopeNames": "context_builder.question.request",
    "RouteAnswer": "api.routing",
    "query_ai": "api.query",
    "route": "api.routing",
}

if TYPE_CHECKING:
    from api.query import query_ai
    from api.routing import RouteAnswer, route
    from context_builder.answer.answer import Answer
    from context_builder.question.request import QuestionError, ScopeNames

__all__ = ["Answer", "QuestionError", "RouteAnswer", "ScopeNames", "query_ai", "route"]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `arcpoint --help` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'api' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
