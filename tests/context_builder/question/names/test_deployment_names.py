"""Deployments in a question are found in any spelling, and never by chance."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.names.catalog import DeploymentName
from context_builder.question.names.deployment_names import find_deployment_names

FLEET = (
    "gpt-4/aws gpt-4/gcp claude-3/aws claude-3/gcp llama-70b/k8s llama-8b/k8s mistral/on-prem "
    "command-r/local a/b 4/1 i/s the/may g+t(x)/é code-llama/us модель/облако amazon.nova/kubernetes"
)


def fleet(*public_ids: str) -> list[DeploymentName]:
    """Return deployments by their public ids."""
    parts = [public_id.partition("/") for public_id in public_ids]
    return [
        DeploymentName(n, f"{model}/{backend}", model, backend) for n, (model, _, backend) in enumerate(parts)
    ]


def named(text: str, *public_ids: str) -> str:
    """Return what the text names."""
    known = fleet(*public_ids or FLEET.split())
    ids = {n for mention in find_deployment_names(text, known) for n in mention.ids}
    return " ".join(deployment.public_id for deployment in known if deployment.id in ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # whole names
        ("Is gpt-4/aws down?", "gpt-4/aws"),
        ("GPT-4 AWS", "gpt-4/aws"),
        ("gpt-4/aws,claude-3/gcp;llama-8b/k8s.", "gpt-4/aws claude-3/gcp llama-8b/k8s"),
        ("g+t(x)/é and G+T(X)/É", "g+t(x)/é"),
        ("a/b, 4/1, i/s and the/may", "a/b 4/1 i/s the/may"),
        # models and families
        ("GPT4", "gpt-4/aws gpt-4/gcp"),
        ("gpt 4's latency", "gpt-4/aws gpt-4/gcp"),
        ("llama", "llama-70b/k8s llama-8b/k8s"),
        ("llama 70b vs llama 8b", "llama-70b/k8s llama-8b/k8s"),
        ("llama 8b", "llama-8b/k8s"),
        ("Модель", "модель/облако"),
        ("облако", "модель/облако"),
        # backends and aliases
        ("anything on gcp?", "gpt-4/gcp claude-3/gcp"),
        ("Kubernetes", "llama-70b/k8s llama-8b/k8s amazon.nova/kubernetes"),
        ("amazon", "gpt-4/aws claude-3/aws"),
        ("aws nova", "amazon.nova/kubernetes"),
        ("on premises", "mistral/on-prem"),
        # model and backend
        ("gpt-4 on aws", "gpt-4/aws"),
        ("llama 70B on k8s", "llama-70b/k8s"),
        ("gpt-4 on aws and llama-70b on k8s", "gpt-4/aws llama-70b/k8s"),
        ("on aws gpt-4, on gcp claude-3", "gpt-4/aws claude-3/gcp"),
        ("gpt-4 on aws or gcp", "gpt-4/aws gpt-4/gcp"),
        ("gpt-4 and claude-3 on gcp", "gpt-4/gcp claude-3/gcp"),
        ("mistral on gcp", "gpt-4/gcp claude-3/gcp mistral/on-prem"),
        ("aws/gcp", "gpt-4/aws gpt-4/gcp claude-3/aws claude-3/gcp"),
        ("gpt-4/llama", "gpt-4/aws gpt-4/gcp llama-70b/k8s llama-8b/k8s"),
        # nothing by chance
        ("What is up? It may be the last 4 hours, 41 requests, a b-side.", ""),
        ("local latency, error code 500, the command failed, us users", ""),
        ("gpt-4-turbo, gpt-41, gpt, claude-31, awsome", "gpt-4/aws gpt-4/gcp"),
        ("", ""),
        # but when they are announced
        ("the local backend", "command-r/local"),
        ("backend us", "code-llama/us"),
        ("model 4", "4/1"),
    ],
)
def test_a_deployment_is_found_in_any_spelling(text: str, expected: str) -> None:
    """By its full name, its model, its backend or both, in the order of the fleet."""
    assert named(text) == expected


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("gpt-4 on aws vs gcp", ["gpt-4/aws", "gpt-4/gcp"]),
        ("gpt-4 on aws vs llama-70b", ["gpt-4/aws", "llama-70b/k8s"]),
        (
            "k8s; gpt-4 on aws vs gcp",
            ["llama-70b/k8s llama-8b/k8s amazon.nova/kubernetes", "gpt-4/aws", "gpt-4/gcp"],
        ),
        (
            "claude-3 slower than k8s",
            ["claude-3/gcp claude-3/aws", "llama-70b/k8s llama-8b/k8s amazon.nova/kubernetes"],
        ),
        (
            "k8s compared to gpt-4",
            ["llama-70b/k8s llama-8b/k8s amazon.nova/kubernetes", "gpt-4/aws gpt-4/gcp"],
        ),
    ],
)
def test_what_follows_a_comparing_word_is_a_side_of_its_own(text: str, sides: list[str]) -> None:
    """Only another name of the same part is one of a list, and shares what restricts it."""
    known = fleet(*FLEET.split())
    found = [" ".join(known[n].public_id for n in sorted(m.ids)) for m in find_deployment_names(text, known)]
    assert [sorted(side.split()) for side in found] == [sorted(side.split()) for side in sides]


def test_two_names_with_one_spelling_are_both_meant() -> None:
    """`gpt-4` and `gpt4` are indistinguishable to people, so both are selected."""
    assert named("gpt 4", "gpt-4/aws", "gpt4/aws", "gpt_4/gcp") == "gpt-4/aws gpt4/aws gpt_4/gcp"


def test_every_name_has_its_place() -> None:
    """The words of deployment names are not looked up as anything else."""
    text = "Is Llama 70b slow on Kubernetes, or gpt-4/aws?"
    mentions = find_deployment_names(text, fleet(*FLEET.split()))
    assert [[text[span.start : span.end] for span in mention.spans] for mention in mentions] == [
        ["Llama 70b", "Kubernetes"],
        ["gpt-4/aws"],
    ]


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=6), st.text(max_size=80))
def test_any_names_and_any_text(pairs: list[tuple[str, str]], text: str) -> None:
    """No text raises, and only known deployments are found."""
    deployments = [
        DeploymentName(n, f"{model}/{backend}", model, backend) for n, (model, backend) in enumerate(pairs)
    ]
    known = {deployment.id: deployment.public_id for deployment in deployments}
    for mention in find_deployment_names(text, deployments):
        assert mention.ids
        assert mention.names == tuple(known[n] for n in mention.ids)


known_names = st.from_regex(r"[a-z]{3,8}-[0-9]{1,2}[a-z]?/[a-z]{2,4}[0-9]", fullmatch=True)


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.lists(known_names, min_size=1, max_size=5, unique=True), st.data())
def test_every_deployment_is_found_by_its_own_name(public_ids: list[str], data: st.DataObject) -> None:
    """In a sentence, in capitals and in code marks."""
    wanted = data.draw(st.sampled_from(public_ids))
    decorated = data.draw(st.sampled_from(["{}", "`{}`", "({})", "{}'s", "{}?", "“{}”,"])).format(wanted)
    shouted = data.draw(st.booleans())
    assert wanted in named(f"Is {decorated.upper() if shouted else decorated} all right", *public_ids).split()


def test_hundreds_of_deployments_and_the_longest_question() -> None:
    """A thousand names and 4,000 characters are matched without comparing all pairs."""
    public_ids = [f"model-{number}/cloud-{number % 40}" for number in range(1_000)]
    question = ("why model-17 on cloud-17 " * 160)[:4_000]
    assert named(question, *public_ids) == "model-17/cloud-17"
