"""Finds what an answer wants its reader to do: links to follow, commands to run, and words of others. Pure.

Text between « and » in a fact was written by anybody. Its links and commands count as unsupported even where
an answer repeats them faithfully, unless an operator wrote or approved the fact. Its words may be repeated
with the reference of the fact.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from context_builder.answer.answer import ClaimIssue
from context_builder.answer.sentences import Sentence

MIN_COPIED_WORDS = 5
"""Adjacent words from which a repetition is no coincidence."""
_MAX_COMMAND_WORDS = 24

_QUOTED = re.compile(r"«[^«»]*+»?+")
_IN_URL = r"""[^\s<>()\[\]"'`«»|]"""
_LINK = re.compile(
    rf"(?:[a-z][a-z0-9+.-]{{1,20}}+://|//(?=[\w-]{{1,63}}+\.)|mailto:|javascript:|data:|www\.){_IN_URL}{{1,2000}}+"
    r"|(?<=\]\()[^\s()<>]{1,2000}+"
    r"|(?<![\w@./-])(?:[a-z0-9-]{1,63}+\.){1,4}(?:com|net|org|io|dev|app|ai|xyz|info|biz|ru|cn|example|test"
    rf"|invalid|top|site|online|link|click|cloud)(?![\w-])(?:/{_IN_URL}{{0,2000}}+)?+"
)
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|//|www\.")
_CODE = re.compile(r"`{1,3}([^`]{1,2000}+)`{1,3}")
_PROMPT_SIGN = re.compile(r"^[$#>%]\s+")
_PROGRAM = (
    r"(?:sudo|curl|wget|kubectl|helm|podman|terraform|ansible(?:-playbook)?|gcloud|psql|mysql|redis-cli|ssh|scp"
    r"|rsync|ncat|nc|bash|zsh|chmod|chown|rm|mkfs(?:\.\w{1,8})?|systemctl|journalctl|pip3?|npm|npx|powershell|iex"
    r"|iptables|crontab|invoke-webrequest|apt-get|eval)"
)
_WORD_PROGRAM = (
    r"(?:aws|az|docker|git|python3?|perl|ruby|node|sh|su|dd|kill|service|export|apt|yum|make|mount|nohup|base64"
    r"|cat|exec)"
)
"""Programs whose names are also words or backends: in prose only with an option, a path or a URL."""
_IS_ARGUMENT = r"(?:--?[a-z]|[a-z]{2,10}://|[./~]{0,2}/|[|&;>])"
_STARTS = re.compile(
    rf"(?<![\w./-])(?:{_PROGRAM}\s+\S|{_WORD_PROGRAM}(?:\s+[\w.-]{{1,40}}+){{0,2}}?\s+{_IS_ARGUMENT}"
    r"|(?:drop|truncate|alter)\s+(?:table|database|schema|user|role)\s+\S|delete\s+from\s+\S|grant\s+\w+\s+(?:on|to)\s)"
)
_LOOKS_RUN = re.compile(
    rf"^(?:{_PROGRAM}|{_WORD_PROGRAM})\s+\S|^\.{{0,2}}/[\w./-]+\s+\S|\$\(|&&|\|\s*(?:{_PROGRAM}|{_WORD_PROGRAM})\b"
    r"|\S\s+--?[a-z][\w-]*"
)
_ENDS_COMMAND = frozenset(
    {
        *("to", "and", "then", "for", "which", "or", "before", "after", "again", "now", "as", "if", "when"),
        *("because", "so", "that", "is", "was", "will"),
    }
)


class ActionIndex:
    """The links, commands and words of a prompt, by whether an operator approved them."""

    def __init__(self, shown: Mapping[str, str], uncited: str, approved: Collection[str] = ()) -> None:
        """Index the facts by reference; `approved` are those whose quotations an operator stands behind."""
        own = [text if ref in approved else _QUOTED.sub(" ", text) for ref, text in shown.items()]
        trusted = "\n".join([*own, uncited])
        everything = "\n".join([*shown.values(), uncited])
        self._links, self._all_links = set(_links(trusted)), set(_links(everything))
        self._words, self._all_words = _spaced(trusted), _spaced(everything)
        own_runs = set(_runs(trusted))
        self._runs = {ref: set(_runs(text)) - own_runs for ref, text in shown.items() if "«" in text}
        self._quoted_runs = set().union(*self._runs.values())

    def issues(self, sentence: Sentence) -> Iterator[tuple[str, ClaimIssue]]:
        """Yield links and commands that no operator approved, and words of others told as its own."""
        quoted = set(_links(" ".join(_QUOTED.findall(sentence.text)))) & self._all_links
        for link in dict.fromkeys(_links(sentence.text)):
            # In quotation marks `nvidia.com/gpu` is the name of a resource; a scheme makes a link anywhere.
            is_name = link in quoted and not _HAS_SCHEME.match(link)
            if link not in self._links and not is_name:
                known = link in self._all_links
                yield link, ClaimIssue.LINK_OF_OTHERS if known else ClaimIssue.LINK_NOT_IN_FACTS
        for command in dict.fromkeys(_commands(sentence)):
            if _spaced(command) not in self._words:
                known = _spaced(command) in self._all_words
                yield command, ClaimIssue.COMMAND_OF_OTHERS if known else ClaimIssue.COMMAND_NOT_IN_FACTS
        cited = set().union(*(self._runs.get(ref, ()) for ref in sentence.refs))
        for run in _runs(sentence.claim):
            if run in self._quoted_runs and run not in cited:
                yield " ".join(run), ClaimIssue.WORDS_OF_OTHERS
                break


def _links(text: str) -> Iterator[str]:
    return (found.group().rstrip(".,;:!?*_") for found in _LINK.finditer(text.lower().replace("‹", "<")))


def _commands(sentence: Sentence) -> Iterator[str]:
    """Yield commands in code by their form, and in prose by the program that they begin with."""
    code = [sentence.claim] if sentence.is_code else _CODE.findall(sentence.claim)
    for span in code:
        line = _PROMPT_SIGN.sub("", span.strip())
        if _LOOKS_RUN.search(line.lower()):
            yield line
    prose = "" if sentence.is_code else _CODE.sub(" ` ", sentence.claim)
    end = 0
    for start in _STARTS.finditer(prose.lower()):
        if start.start() >= end:
            command = _clause(prose[start.start() :])
            end = start.start() + len(command)
            yield command


def _clause(text: str) -> str:
    """Return the command that a text begins with: up to a word of prose, or the end of the sentence."""
    words: list[str] = []
    for word in text.split()[:_MAX_COMMAND_WORDS]:
        if words and (word.casefold() in _ENDS_COMMAND or word == "`"):
            break
        words.append(word)
        if word[-1] in ",;.:!?" and word != ".":
            break
    return " ".join(words).rstrip(" .,;:!?")


def _bare_words(text: str) -> list[str]:
    return [bare for word in text.casefold().split() if (bare := word.strip("`*_\"'“”‘’«»()[]{}.,;:!?"))]


def _spaced(text: str) -> str:
    return f" {' '.join(_bare_words(text))} "


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    """Yield all MIN_COPIED_WORDS adjacent words, of each line by itself."""
    for line in text.splitlines():
        words = _bare_words(line)
        yield from (
            tuple(words[at : at + MIN_COPIED_WORDS]) for at in range(len(words) - MIN_COPIED_WORDS + 1)
        )
