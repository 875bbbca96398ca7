"""The template of a postmortem: its sections, and who writes each of them."""

from __future__ import annotations

from dataclasses import dataclass

MODEL = "model"


@dataclass(frozen=True, slots=True)
class SectionPlan:
    """One section: its heading and who writes it, in this order."""

    title: str
    writers: tuple[str, ...]
    """`model`, or the name of a part that code writes."""
    hint: str = ""
    """What the model is asked for."""

    @property
    def by_model(self) -> bool:
        """Whether the model writes in it."""
        return MODEL in self.writers


@dataclass(frozen=True, slots=True)
class Template:
    """The sections of a postmortem, in order."""

    name: str
    sections: tuple[SectionPlan, ...]
