"""Kinds of worlds in which something changed. Each alters a plan and states what is true."""

from __future__ import annotations

from tests.evaluation.worlds.calls import prompt_shares
from tests.evaluation.worlds.effect import HOUR, Effect, What, between, ramp, repeating
from tests.evaluation.worlds.gateway import Habit, Slice
from tests.evaluation.worlds.plan import Cause, Plan

_WHY = "What changed in the last 24 hours, and why?"
_BROKEN = "Is anything broken right now, and what caused it?"
_BASE = 0.007
"""Share of requests that fail on any day, about."""


def ramp_leak(plan: Plan) -> None:
    """Leak after a rollout: latency grows evenly for hours."""
    name = plan.gateway.deployment().name
    begin, peak = plan.ago(9, 14), float(plan.chance.uniform(4, 6))
    where = Slice(deployment=name)
    plan.happens(Effect(What.LATENCY, where, peak, ramp(begin, plan.now)))
    # Nobody can see a ramp before it has grown to a tenth or so.
    plan.is_true("latency", where, (1 + peak) / 2, begin, begin=(begin, begin + 3 * HOUR))
    job = plan.job("rollout", name, begin - 600, "v2.8.1 -> v2.9.0")
    plan.by_row(job, name, begin - 600)
    plan.questions += [f"{name} is getting slower and slower, why?", _WHY]


def spike_recovered(plan: Plan) -> None:
    """Fail for about an hour, and recover; nobody recorded a change."""
    name = plan.gateway.model()
    begin = plan.ago(3, 7)
    end = begin + float(plan.chance.integers(45, 80)) * 60
    where, share = Slice(model=name), float(plan.chance.uniform(0.4, 0.7))
    plan.happens(Effect(What.ERRORS, where, share, between(begin, end), code="upstream_503"))
    plan.is_true("errors", where, share, begin, end=end)
    plan.incident(f"Errors on {name}", name, begin + 480, end + 300, "not found")
    plan.questions += [f"Were there errors on {name} today?", _WHY]


def shift_ended(plan: Plan) -> None:
    """Slow down with one change of configuration and recover with the next."""
    served = plan.gateway.deployment(1)
    begin = plan.ago(9, 12)
    end = begin + float(plan.chance.uniform(4, 6)) * HOUR // 60 * 60
    where, factor = Slice(deployment=served.name), float(plan.chance.uniform(2, 3.5))
    plan.happens(Effect(What.LATENCY, where, factor, between(begin, end)))
    plan.is_true("latency", where, factor, begin, end=end)
    change = plan.config(served.name, begin - 60, "batch.max_tokens", "8192", "65536")
    plan.config(served.name, end - 60, "batch.max_tokens", "65536", "8192")
    plan.by_row(change, served.name, begin - 60)
    plan.questions += [f"When was {served.name} slow and why?", _WHY]


def hourly_errors(plan: Plan) -> None:
    """Fail in the first minutes of every hour, since a change of configuration."""
    backend = plan.gateway.deployment().backend
    begin, length = plan.ago(12, 18) // HOUR * HOUR, 7 * 60.0
    where, share = Slice(backend=backend), float(plan.chance.uniform(0.5, 0.8))
    on = repeating(begin, plan.now, HOUR, length)
    plan.happens(Effect(What.ERRORS, where, share, on, "timeout", "pool_exhausted"))
    plan.is_true("errors", where, share, begin, turns=(HOUR, length))
    change = plan.config(backend, begin - 900, "pool.recycle_cron", None, "0 * * * *")
    plan.by_row(change, backend, begin - 900)
    plan.questions += [f"Why do requests on {backend} fail again and again?", _WHY]


def flapping(plan: Plan) -> None:
    """Lose a deployment for some minutes again and again; nobody recorded a change."""
    name = plan.gateway.deployment().name
    begin, every, length = plan.ago(5, 9), 27 * 60.0, 8 * 60.0
    where, share = Slice(deployment=name), float(plan.chance.uniform(0.7, 0.95))
    on = repeating(begin, plan.now, every, length)
    plan.happens(Effect(What.ERRORS, where, share, on, code="connection_reset"))
    plan.is_true(
        "errors", where, share, begin, begin=(begin - 300, begin + every + 300), turns=(every, length)
    )
    plan.down[name] = lambda at: begin <= at and at % every < length
    plan.questions += [f"Is {name} healthy?", _BROKEN]


def user_vanishes(plan: Plan) -> None:
    """Lose the requests of one customer; nobody recorded a change."""
    name = plan.gateway.busiest(0, Habit.STEADY, Habit.HOURLY).name
    plan.adapt(name, plan.larger(4))
    begin = plan.ago(7, 12)
    plan.happens(Effect(What.VOLUME, Slice(user=name), 0, between(begin)))
    plan.is_true("volume", Slice(user=name), 0, begin)
    plan.is_true("cost", Slice(user=name), 0, begin, needed=False)
    plan.questions += ["Did anybody stop sending requests?", _WHY]


def retry_storm(plan: Plan) -> None:
    """Lower the limit of a tier; its clients insist, and more requests come than before."""
    tier = plan.gateway.busiest().tier
    begin, share = plan.ago(3, 7), float(plan.chance.uniform(0.5, 0.7))
    where = Slice(tier=tier)
    plan.happens(Effect(What.ERRORS, where, share, between(begin), "rate_limited", "tier_limit", retries=4))
    # The attempts that fail: share s each, of up to five: 1 + s' + ... + s'^4 with those that give up.
    insist = share * 0.95
    plan.is_true("errors", where, share + _BASE * (1 - share), begin)
    plan.is_true("volume", where, sum(insist**n for n in range(5)), begin)
    change = plan.config("gateway", begin - 120, f"rate_limit.{tier}.rpm", "600", "60")
    plan.by_row(change, "gateway", begin - 120)
    plan.questions += [f"Why do {tier} users get 429?", _WHY]


def region_slow(plan: Plan) -> None:
    """Slow down one region, whose deployments belong to several models and backends."""
    region = plan.gateway.deployment().region
    begin, factor = plan.ago(4, 9), float(plan.chance.uniform(1.9, 3))
    where = Slice(region=region)
    plan.happens(Effect(What.LATENCY, where, factor, between(begin)))
    plan.is_true("latency", where, factor, begin)
    change = plan.config(region, begin - 240, "egress.route", "direct", "via-us-east-2")
    plan.by_row(change, region, begin - 240)
    plan.questions += ["Why are responses slow, and what do the slow deployments have in common?", _WHY]


def backend_failing(plan: Plan) -> None:
    """Fail on one backend, whatever the model, after an update of its image."""
    backend = plan.gateway.deployment().backend
    begin, share = plan.ago(3, 8), float(plan.chance.uniform(0.15, 0.3))
    where = Slice(backend=backend)
    plan.happens(Effect(What.ERRORS, where, share, between(begin), code="cuda_oom"))
    plan.is_true("errors", where, share + _BASE, begin)
    job = plan.job("image_update", backend, begin - 300, "base image 24.04.2 -> 24.04.3")
    plan.by_row(job, backend, begin - 300)
    plan.questions += ["Why are requests failing since today?", _BROKEN]


def longer_prompts(plan: Plan) -> None:
    """Send longer prompts: they cost more and take longer, and nothing is broken."""
    customer = plan.gateway.busiest(0, Habit.OFFICE)
    begin, factor = plan.ago(5, 8), float(plan.chance.uniform(5, 9))
    where = Slice(user=customer.name)
    of_cost, of_latency = prompt_shares(customer)
    plan.happens(Effect(What.PROMPT, where, factor, between(begin)))
    plan.is_true("cost", where, 1 + of_cost * (factor - 1), begin)
    plan.is_true("latency", where, 1 + of_latency * (factor - 1), begin, needed=False)
    plan.broken = False
    plan.questions += ["Why do we spend more today?", _WHY]


def alias_moved(plan: Plan) -> None:
    """Point an alias to another model: requests move, and are answered worse."""
    old, new = plan.gateway.model(0), plan.gateway.model(1)
    begin, share = plan.ago(5, 10), float(plan.chance.uniform(0.75, 0.95))
    plan.happens(
        Effect(What.MODEL, Slice(model=old), share, between(begin), to=new),
        Effect(What.QUALITY, Slice(model=new), -0.08, between(begin)),
    )
    plan.is_true("volume", Slice(model=old), 1 - share, begin)
    plan.is_true("volume", Slice(model=new), plan.after_move(old, new, share), begin)
    plan.is_true("quality", Slice(model=new), -0.08, begin, needed=False)
    plan.follows("cost", begin, Slice(model=old), 1 - share)
    plan.follows("cost", begin, Slice(model=new), plan.after_move(old, new, share))
    change = plan.config("router", begin - 30, "alias.default", old, new)
    plan.by_row(change, "router", begin - 30)
    plan.questions += ["Which models get more or fewer requests than usual, and why?", _WHY]


def user_batch(plan: Plan) -> None:
    """Run one customer's batch by day: more requests, and they cost more."""
    name = plan.gateway.busiest(0, Habit.STEADY).name
    plan.adapt(name, plan.larger(2))
    begin, factor = plan.ago(4, 7), float(plan.chance.uniform(5, 9))
    where = Slice(user=name)
    plan.happens(Effect(What.VOLUME, where, factor, between(begin)))
    plan.is_true("volume", where, factor, begin)
    plan.follows("cost", begin, where, factor)
    plan.audit(name, "batch.submit", name, begin - 60, "re-index of 4 million documents")
    plan.causes.append(Cause("batch.submit", (("batch.submit",), ("re-index of 4 million",))))
    plan.broken = False
    plan.questions += ["Who causes the higher load today?", _WHY]


def key_expired(plan: Plan) -> None:
    """Refuse one customer, whose key has expired."""
    name = plan.gateway.busiest(0, Habit.STEADY, Habit.HOURLY).name
    plan.adapt(name, plan.larger(3))
    begin, where = plan.ago(4, 9), Slice(user=name)
    plan.happens(Effect(What.ERRORS, where, 1.0, between(begin), code="invalid_api_key"))
    plan.is_true("errors", where, 1.0, begin)
    plan.follows("cost", begin, where, 0)
    plan.audit("key-manager", "key.expire", name, begin, "key ak_19 reached its end date")
    plan.causes.append(Cause("key.expire", (("key.expire",), ("ak_19",))))
    plan.questions += [f"Why do all requests of {name} fail?", _BROKEN]


def quota_exhausted(plan: Plan) -> None:
    """Reject most requests of a tier, whose quota is used up; nobody recorded a change."""
    tier = plan.gateway.busiest(1).tier
    begin, share = plan.ago(3, 6), float(plan.chance.uniform(0.6, 0.9))
    where = Slice(tier=tier)
    plan.happens(Effect(What.ERRORS, where, share, between(begin), "rate_limited", "quota_exhausted"))
    plan.is_true("errors", where, share, begin)
    plan.causes.append(Cause("log line", (("quota_exhausted",), ("monthly quota",))))
    plan.questions += [f"What is wrong with the {tier} tier?", _BROKEN]


def two_faults(plan: Plan) -> None:
    """Break two things that have nothing to do with each other."""
    slow, user = plan.gateway.deployment(1).name, plan.gateway.busiest(0, Habit.STEADY, Habit.HOURLY).name
    plan.adapt(user, plan.larger(3))
    first, second = plan.ago(9, 12), plan.ago(3, 6)
    factor = float(plan.chance.uniform(2, 3))
    plan.happens(
        Effect(What.LATENCY, Slice(deployment=slow), factor, between(first)),
        Effect(What.ERRORS, Slice(user=user), 0.9, between(second), code="tls_certificate_expired"),
    )
    plan.is_true("latency", Slice(deployment=slow), factor, first)
    plan.is_true("errors", Slice(user=user), 0.9, second)
    plan.follows("cost", second, Slice(user=user), 0.1)
    job = plan.job("rollout", slow, first - 300, "v5.1.0 -> v5.2.0")
    plan.by_row(job, slow, first - 300)
    plan.causes.append(Cause("log line", (("tls_certificate_expired",), ("certificate expired",))))
    plan.questions += [_WHY, _BROKEN]


def new_template(plan: Plan) -> None:
    """Fail with a line that was never logged, among lines that have been there for weeks."""
    served = plan.gateway.deployment()
    begin, share = plan.ago(3, 8), float(plan.chance.uniform(0.3, 0.5))
    where = Slice(deployment=served.name)
    plan.happens(Effect(What.ERRORS, where, share, between(begin), code="tokenizer_mismatch"))
    plan.is_true("errors", where, share + _BASE, begin)
    for n in range(int(plan.now / HOUR * 2)):
        plan.line("router", n * HOUR / 2 + 7, "lost connection to metrics sink, retrying", "error")
    job = plan.job("rollout", served.name, begin - 420, "v1.4.0 -> v1.5.0")
    plan.by_row(job, served.name, begin - 420)
    plan.causes.append(Cause("log line", (("vocabulary of 128",),)))
    plan.questions += ["Which errors are new today?", _BROKEN]


def quality_drop(plan: Plan) -> None:
    """Answer worse after a rollout, as fast and as often as before."""
    name = plan.gateway.model()
    begin, size = plan.ago(9, 14), -float(plan.chance.uniform(0.12, 0.2))
    where = Slice(model=name)
    plan.happens(Effect(What.QUALITY, where, size, between(begin)))
    plan.is_true("quality", where, size, begin, begin=(begin - 3600, begin + 3600))
    job = plan.job("rollout", name, begin - 60, "weights 2026-02 -> 2026-03-int4")
    plan.by_row(job, name, begin - 60)
    plan.questions += [f"Are the answers of {name} worse than before?", _WHY]


LOG_LINES = {
    "upstream_503": "upstream returned 503 after {n} ms",
    "upstream_timeout": "no first byte within 60 s, attempt {n}",
    "rate_limit": "request rejected: {n} requests in the last minute",
    "pool_exhausted": "connection pool is empty, {n} waiting",
    "connection_reset": "connection reset by peer after {n} bytes",
    "tier_limit": "tier limit reached: {n} rpm",
    "cuda_oom": "CUDA out of memory: tried to allocate {n} MiB",
    "invalid_api_key": "invalid_api_key: key ak_19 rejected, request {n}",
    "quota_exhausted": "quota_exhausted: monthly quota is used up, request {n}",
    "tls_certificate_expired": "tls_certificate_expired: certificate expired, serial {n}",
    "tokenizer_mismatch": "tokenizer has a vocabulary of 128{n} entries, model expects 128256",
}
"""What is logged of a failed request, by its code."""
