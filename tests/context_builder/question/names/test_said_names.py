"""A model, backend or region is found as people say it, and never in place of another."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.names.catalog import DeploymentName
from context_builder.question.names.deployment_names import read_deployments

SIMPLE = (
    "gpt-4/aws@us-east-1 gpt-4/k8s@eu-central-1 llama-70b/k8s@eu-central-1 llama-70b/neocloud@fra-2 "
    "claude-sonnet/aws@us-west-2 mistral-large/gcp@europe-west4"
)
PROXY = (
    "anthropic/claude-3-5-sonnet-20241022/anthropic claude-3-5-haiku-latest/anthropic-direct "
    "bedrock/us.anthropic.claude-3-7-sonnet-20250219-v1:0/bedrock@us-east-1 azure/gpt-4o-eu/azure@westeurope "
    "gpt-4o-2024-05-13/openai gpt-4o-2024-08-06/openai gpt-4o-mini-2024-07-18/openai o1-mini/openai "
    "vertex_ai/gemini-1.5-pro-002/vertex_ai@europe-west4 gpt-35-turbo/azure-us@eastus"
)
ROUTER = (
    "openrouter/mistralai/mixtral-8x7b-instruct:free/openrouter "
    "meta-llama/Llama-3.3-70B-Instruct/together_ai "
    "accounts/fireworks/models/llama-v3p1-8b-instruct/fireworks_ai Qwen/Qwen2.5-72B-Instruct-AWQ/vllm "
    "deepseek-ai/DeepSeek-R1/together_ai command-r-plus-08-2024/cohere gpt-4/openai gpt-4-turbo/openai "
    "anthropic/claude-opus-4-1/aws-eu-west-1 anthropic/claude-opus-4/aws-us-east-1"
)
CATALOGS = {"simple": SIMPLE, "proxy": PROXY, "router": ROUTER}


def catalog(name: str) -> list[DeploymentName]:
    """Return the deployments of a catalog, written `model/backend@region`."""
    split = [entry.partition("@") for entry in CATALOGS[name].split()]
    pairs = [(*public_id.rpartition("/"), region) for public_id, _, region in split]
    return [
        DeploymentName(n, f"{model}/{backend}", model, backend, region)
        for n, (model, _, backend, region) in enumerate(pairs)
    ]


def read(text: str, name: str) -> tuple[list[str], list[str]]:
    """Return each mention as `words: numbers of deployments`, and the words that name what does not exist."""
    found = read_deployments(text, catalog(name))
    mentions = [
        f"{'+'.join(text[s.start : s.end] for s in mention.spans)}: {' '.join(map(str, sorted(mention.ids)))}"
        for mention in found.mentions
    ]
    return mentions, [text[span.start : span.end] for span in found.unmatched]


@pytest.mark.parametrize(
    ("name", "text", "mentions", "unmatched"),
    [
        # said in parts, in any order
        ("proxy", "Why is Claude 3.5 Sonnet slow?", ["Claude 3.5 Sonnet: 0"], []),
        ("proxy", "sonnet 3.5 or 3.5 haiku", ["sonnet 3.5: 0", "3.5 haiku: 1"], []),
        ("proxy", "anthropic claude 3.5 sonnet", ["anthropic claude 3.5 sonnet: 0"], []),
        ("proxy", "gemini pro 1.5, gpt 4o mini", ["gemini pro 1.5: 8", "gpt 4o mini: 6"], []),
        ("proxy", "o1 mini, gpt4o-mini", ["o1 mini: 7", "gpt4o-mini: 6"], []),
        ("proxy", "GPT-3.5 Turbo", ["GPT-3.5 Turbo: 9"], []),
        ("proxy", "claude-3-5-sonnet-20241022", ["claude-3-5-sonnet-20241022: 0"], []),
        ("router", "llama 3.3 70b, llama 3.1", ["llama 3.3 70b: 1", "llama 3.1: 2"], []),
        ("router", "mixtral, deepseek r1", ["mixtral: 0", "deepseek r1: 4"], []),
        ("router", "qwen 2.5 72b", ["qwen 2.5 72b: 3"], []),
        ("router", "command r plus and the 8b", ["command r plus: 5", "8b: 2"], []),
        ("router", "opus 4.1 vs opus 4", ["opus 4.1: 8", "opus 4: 9"], []),
        ("router", "gpt-4为什么慢", ["gpt-4: 6"], []),
        # a family, several dates, the plain one before its variants
        ("proxy", "sonnet", ["sonnet: 0 2"], []),
        ("proxy", "sonnet 3.5 vs 3.7", ["sonnet 3.5: 0", "3.7: 2"], []),
        ("proxy", "sonnet 3.5/3.7", ["sonnet 3.5: 0", "3.7: 2"], []),
        ("proxy", "haikus and both sonnets", ["haikus: 1", "sonnets: 0 2"], []),
        ("proxy", "GPT-4o", ["GPT-4o: 3 4 5"], []),
        ("router", "mistralai/mixtral-8x7b", ["mistralai/mixtral-8x7b: 0"], []),
        ("router", "llama/mixtral", ["llama: 1 2", "mixtral: 0"], []),
        ("router", "gpt-4 and gpt-4-turbo", ["gpt-4: 6", "gpt-4-turbo: 7"], []),
        # never a sibling
        ("proxy", "Claude 3 Opus", [], ["Claude 3 Opus"]),
        ("proxy", "sonnet 3.6, sonnet 3.5 vs 3.6", ["sonnet 3.5: 0"], ["sonnet 3.6", "3.6"]),
        ("proxy", "gpt-4, gpt-5, GPT 4o nano", [], ["gpt-4", "gpt-5", "GPT 4o nano"]),
        ("proxy", "o3 and o1-preview", [], ["o3", "o1-preview"]),
        ("proxy", "claude-3-5-sonnet-20240620", [], ["claude-3-5-sonnet-20240620"]),
        ("router", "Why is Claude 3.5 Sonnet slow?", [], ["Claude 3.5 Sonnet"]),
        ("router", "llama 3.1 70b, mixtral 8x22b, the 13b", [], ["llama 3.1 70b", "mixtral 8x22b", "13b"]),
        ("simple", "mistral small, gpt 4 turbo", [], ["mistral small", "gpt 4 turbo"]),
        ("simple", "Is gemini slow on azure?", [], ["gemini", "azure"]),
        # regions
        ("simple", "EU vs US", ["EU: 1 2 5", "US: 0 4"], []),
        ("simple", "gpt-4 in Europe", ["gpt-4+Europe: 1"], []),
        ("simple", "eu-central-1, us east", ["eu-central-1: 1 2", "us east: 0"], []),
        ("simple", "the Frankfurt site", ["Frankfurt: 1 2 3"], []),
        ("simple", "Asia and eu-west-1", [], ["Asia", "eu-west-1"]),
        ("simple", "tell us what us users see, it is slow for us at 9 London time", [], []),
        ("simple", "from us, region us, eu and us", ["us: 0 4", "us: 0 4", "eu: 1 2 5", "us: 0 4"], []),
        ("proxy", "gpt-4o in the EU", ["gpt-4o+EU: 3"], []),
        ("router", "opus in the EU", ["opus+EU: 8"], []),
        # backends in part, groups, lists, negation
        ("router", "aws, together ai, fireworks", ["aws: 8 9", "together ai: 1 4", "fireworks: 2"], []),
        ("simple", "gpt-4 on aws or k8s", ["gpt-4+aws: 0", "k8s: 1"], []),
        ("simple", "gpt-4 and llama-70b on k8s", ["gpt-4: 1", "llama-70b+k8s: 2"], []),
        ("simple", "all on aws except gpt-4", ["aws: 0 4", "gpt-4: 0 1"], []),
        ("proxy", "sonnet/anthropic", ["sonnet+anthropic: 0"], []),
        ("simple", "non-aws and non-EU traffic", ["non-aws: 0 4", "non-EU: 1 2 5"], []),
        # ordinary words and numbers
        ("simple", "gpt-4 2 hours ago: 500 errors, 2.5 % slow", ["gpt-4: 0 1"], []),
        ("simple", "gpt-4 large requests plus llama pro users", ["gpt-4: 0 1", "llama: 2 3"], []),
        ("simple", "all models, every deployment; does each model fail in a mini outage?", [], []),
    ],
)  # fmt: skip
def test_a_name_is_found_as_it_is_said(
    name: str, text: str, mentions: list[str], unmatched: list[str]
) -> None:
    """Every part that is said must be in the name; what lacks one is unknown, with all its words."""
    assert read(text, name) == (mentions, unmatched)


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("router", "opus", "“opus” means 2 models: anthropic/claude-opus-4, anthropic/claude-opus-4-1"),
        ("simple", "EU", "“EU” means 2 regions: eu-central-1, europe-west4"),
        ("simple", "us-west", "“us-west” means us-west-2"),
        ("router", "aws", "“aws” means 2 backends: aws-eu-west-1, aws-us-east-1"),
        ("simple", "mistral on aws", "no deployment is “mistral” and “aws”"),
        ("simple", "gpt-4", ""),
        ("proxy", "Claude 3.5 Sonnet", ""),
        ("router", "opus on aws-eu-west-1", ""),
    ],
)
def test_what_is_not_plain_is_explained(name: str, text: str, note: str) -> None:
    """A family, a place or part of a backend's name is told with its members."""
    assert read_deployments(text, catalog(name)).mentions[0].note == note


@pytest.mark.parametrize("name", CATALOGS)
def test_a_full_name_is_found_at_its_place(name: str) -> None:
    """The public id, the model and the backend of each deployment, in a sentence."""
    for deployment in catalog(name):
        for attribute in ("public_id", "model", "backend"):
            full = getattr(deployment, attribute)
            text = f"Is `{full}`, in short, down?"
            (mention,) = read_deployments(text, catalog(name)).mentions
            assert [text[span.start : span.end] for span in mention.spans] == [full]
            same = {other.id for other in catalog(name) if getattr(other, attribute) == full}
            assert {*mention.ids} == same


heads = st.sampled_from(["claude", "llama", "gpt"])
versions = st.sampled_from(["2", "3", "3.1", "3.5", "4o", "10"])
sizes = st.sampled_from(["7b", "70b", "8x7b"])
variants = st.sampled_from(["sonnet", "mini", "turbo", "opus"])


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(heads, versions, sizes, variants), min_size=1, max_size=4, unique=True),
    st.tuples(heads, versions, sizes, variants),
    st.data(),
)
def test_another_version_size_or_variant_is_another_model(
    known: list[tuple[str, ...]], wanted: tuple[str, ...], data: st.DataObject
) -> None:
    """All models that have every part said are found, and no other, however it is put."""
    deployments = [
        DeploymentName(n, f"p/{'-'.join(model)}-20250101/b", f"p/{'-'.join(model)}-20250101", "b")
        for n, model in enumerate(known)
    ]
    unsaid = data.draw(st.sets(st.integers(1, 3)))
    said = [part for n, part in enumerate(wanted) if n not in unsaid]
    shuffled = [said[0], *data.draw(st.permutations(said[1:]))]
    text = f"Why is {data.draw(st.sampled_from([' ', '-'])).join(shuffled)} slow?"
    found = {n for mention in read_deployments(text, deployments).mentions for n in mention.ids}
    if {wanted[0]} == {*said}:
        assert found == {n for n, model in enumerate(known) if model[0] == wanted[0]}
    else:
        assert found == {n for n, model in enumerate(known) if {*said} <= {*model}}


PIECES = """
    gpt 4 4o llama 3.3 70b sonnet claude 3-5 on aws us eu in vs and except non-aws / , west 1 mini
    the 24h us-east-1 azure/gpt-4o gpt-4/aws eu-west openai large models
"""


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*CATALOGS]),
    st.text(max_size=60) | st.lists(st.sampled_from(PIECES.split()), max_size=25).map(" ".join),
)
def test_places_never_overlap(name: str, text: str) -> None:
    """No text raises; every place lies in the text and is used once."""
    found = read_deployments(text, catalog(name))
    spans = sorted([*(span for mention in found.mentions for span in mention.spans), *found.unmatched])
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert all(mention.ids for mention in found.mentions)
