"""Names that no rule can have been tuned to: every one is drawn."""

from __future__ import annotations

from random import Random

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"


def stream(*purpose: object) -> Random:
    """The draws of one part of the evaluation; equal for equal arguments, whatever other parts draw."""
    return Random("/".join(map(str, purpose)))  # noqa: S311  a simulation, not a secret


class Names:
    """Draws names, none twice."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._taken: set[str] = set()

    def stem(self, syllables: int = 3) -> str:
        """A pronounceable word that is none: `korami`."""
        while True:
            word = "".join(
                self._chance.choice(_CONSONANTS) + self._chance.choice(_VOWELS) for _ in range(syllables)
            )
            if word not in self._taken:
                self._taken.add(word)
                return word

    def model(self) -> str:
        """`korami-70b`."""
        return f"{self.stem()}-{self._chance.choice(('7b', '13b', '70b', 'pro', 'xl', '2', '3.5'))}"

    def backend(self) -> str:
        """`zuteka`, `zuteka-k8s`."""
        return self.stem() + self._chance.choice(("", "", "-k8s", "-eu", "-2"))

    def public_id(self, prefix: str) -> str:
        """`job_3fa90c1b`."""
        return f"{prefix}_{self._chance.getrandbits(32):08x}"

    def person(self) -> str:
        """Who did something: `tamiso@ops`."""
        return f"{self.stem()}@{self._chance.choice(('ops', 'platform', 'ml', 'deploy-bot'))}"

    def parameter(self) -> str:
        """`pool.vekaro_limit`."""
        area = self._chance.choice(("pool", "runtime", "scheduler", "cache", "batching", "client"))
        unit = self._chance.choice(("limit", "timeout_ms", "batch_size", "window", "threshold"))
        return f"{area}.{self.stem()}_{unit}"

    def version(self, major: int | None = None) -> str:
        """`v3.14.2`."""
        parts = (major or self._chance.randint(1, 9), self._chance.randint(0, 29), self._chance.randint(0, 9))
        return "v" + ".".join(map(str, parts))
