"""Where the operators of a loaded model run, and whether that is where the configuration wanted them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchharness.contract import FALLBACK_FAIL, PLACE_NOT_TOLD, Configuration, ReportsPlacement, Session
from benchharness.errors import Unsupported

#: Operators that are named one by one in a message.
_MOST_NAMED = 5


def placement_facts(configuration: Configuration, session: Session) -> dict[str, Any]:
    """`placement` (operators per place, or why it is unknown) and `fallback` where an accelerator did not take all.

    Raises `Unsupported` where the configuration wants an attempt to fail that fell back, or that cannot be told, and
    where it names a plug-in or a unit that the adapter took no notice of.
    """
    _check_unit(configuration, session)
    facts: dict[str, Any] = {}
    placed: Mapping[str, Mapping[str, int]] | None = None
    if isinstance(session, ReportsPlacement):
        try:
            placed = session.placement()
            facts["placement"] = {place: dict(operators) for place, operators in placed.items()}
        except Unsupported as reason:
            facts["placement_unknown"] = str(reason)
    else:
        facts["placement_unknown"] = "this adapter does not tell where operators run"
    if configuration.accelerator is not None:
        fallback = _fallback(configuration.accelerator, session, placed)
        if configuration.fallback == FALLBACK_FAIL:
            _refuse(configuration.accelerator, fallback, facts.get("placement_unknown"))
        if fallback:
            facts["fallback"] = fallback
    return facts


def _check_unit(configuration: Configuration, session: Session) -> None:
    """Only a session that tells its unit has chosen one: what nobody took is no configuration that was measured.

    A library that belongs to no unit, such as the runtime's own files, the session tells in its facts.
    """
    effective = session.effective
    if effective.unit is not None or effective.refusal is not None:
        return
    for key in ("library", "unit"):
        named = getattr(configuration, key)
        if named is not None and not (key == "library" and effective.facts.get(key) == named):
            raise Unsupported(
                f"{key}: the adapter {configuration.runtime!r} takes no plug-ins and has no units; leave it out"
            )


def _fallback(
    accelerator: str, session: Session, placed: Mapping[str, Mapping[str, int]] | None
) -> dict[str, Any] | None:
    """What did not run on the accelerator; None where all of it did, or where nothing shows that some did not."""
    refusal = session.effective.refusal
    wanted = session.effective.wanted_places or (accelerator,)
    elsewhere = {
        f"{operator} on {place}": count
        for place, operators in (placed or {}).items()
        if place not in wanted
        for operator, count in operators.items()
    }
    dropped = not {accelerator, PLACE_NOT_TOLD} & set(session.effective.accelerators)
    if refusal is None and not elsewhere and not dropped:
        return None
    reason = refusal.reason if refusal else ""
    if dropped and not refusal:
        reason = f"the runtime used {', '.join(session.effective.accelerators)} and does not say why"
    total = sum(count for operators in (placed or {}).values() for count in operators.values())
    return {
        "summary": _summary(accelerator, reason, elsewhere, total),
        "lost_ns": refusal.lost_ns if refusal else None,
        "operators": total or None,
        "operators_elsewhere": sum(elsewhere.values()) if placed else None,
    }


def _refuse(accelerator: str, fallback: Mapping[str, Any] | None, unknown: str | None) -> None:
    if fallback:
        raise Unsupported(f'fallback = "fail": {fallback["summary"]}')
    if unknown:
        raise Unsupported(f'fallback = "fail": whether all operators run on {accelerator} is unknown ({unknown})')


def _summary(accelerator: str, reason: str, elsewhere: Mapping[str, int], total: int) -> str:
    """A fallback in one sentence: "3 of 40 operators do not run on X: 2 Gather on CPU, 1 Cast on CPU"."""
    what = f"{accelerator} takes no part"
    if elsewhere:
        commonest = sorted(elsewhere.items(), key=lambda pair: -pair[1])
        named = ", ".join(f"{count} {operator}" for operator, count in commonest[:_MOST_NAMED])
        more = f" and {len(commonest) - _MOST_NAMED} more kinds" if len(commonest) > _MOST_NAMED else ""
        what = f"{sum(elsewhere.values())} of {total} operators do not run on {accelerator}: {named}{more}"
    return f"{what}; {reason}" if reason else what
