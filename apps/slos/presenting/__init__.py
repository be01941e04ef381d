"""One service's page as its template draws it: figures turned into words, rows and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.accounts.models import User
from apps.catalog.models import Service
from apps.engine.document import CompositePart
from apps.slos.documents.assembled import stored_parts
from apps.slos.formatting import SLI_WORDS
from apps.slos.lists import state_of
from apps.slos.models import SliType
from apps.slos.presenting import certainty, drawings, evidence
from apps.slos.presenting.active_slos import ShownSlo, shown_slo
from apps.slos.presenting.addresses import regenerate_url, set_url
from apps.slos.presenting.certainty import DataLine, Meaning, Reliability
from apps.slos.presenting.evidence import DependencyPanel
from apps.slos.presenting.history import HistoryItem, history
from apps.slos.presenting.renewal import Renewal, renewal
from apps.slos.presenting.tiers import Offer, latency_notes, offer
from apps.slos.queries import ServicePage
from apps.ui.charts import Chart
from apps.ui.format import age, bound, duration, percent

__all__ = ["Presented", "present", "who_may_decide"]


@dataclass(frozen=True, slots=True)
class Presented:
    """Everything the template needs beside the :class:`ServicePage` itself."""

    main: Offer | None
    """The availability SLOs it can keep."""
    latency_offers: Sequence[Offer]
    latency_notes: Sequence[str]
    """How to read what the latency tiers would have cost."""
    """The same for its latencies."""
    latency_reasons: Sequence[str]
    """Why there is no number for a latency."""
    active: str
    """The active availability SLO in one line; empty where none is."""
    state: str
    """How it stands against its SLOs, in a word; ``state_level`` is the mark of it, ``state_reason`` why."""
    state_level: str
    state_reason: str
    due_words: Sequence[str]
    active_slos: Sequence[ShownSlo]
    availability: Chart | None
    latency: Chart | None
    latency_note: str
    why: Chart | None
    why_title: str
    summary: str
    counterfactuals: Sequence[str]
    fan: Chart | None
    """Past windows, and what the next one will probably bring."""
    fan_title: str
    fan_note: str
    reliability: Reliability | None
    meaning: Meaning | None
    dependencies: DependencyPanel
    set_urls: Sequence[tuple[str, str]]
    regenerate_url: str
    data: str
    quality: Sequence[DataLine]
    doubts: DataLine | None
    """What is in doubt about the counts behind the tiers."""
    confidence: float | None
    confidence_words: str
    history: Sequence[HistoryItem]
    who_may: str
    """A sentence for those who may not decide; empty for those who may."""
    made: str
    stale: str
    """How old the numbers are, where they are older than they should be."""
    renewal: Renewal | None
    """Somebody decided or asked for new numbers a moment ago: a worker is at them, and the page looks again."""
    window_days: int
    composite: CompositePart | None = None


def who_may_decide(user: User, service: Service | None = None) -> str:
    """A sentence for those who may not decide: ``Only an SRE admin … may decide.``"""
    words = user.refusal("slos.decide", service).replace("may do this", "may decide")
    return words[:1].upper() + words[1:]


def present(page: ServicePage, user: User) -> Presented:
    """Turn what was read into what is drawn; buttons only for those who may press them."""
    service = page.service
    may_decide = user.has_perm("slos.decide", service)
    document = page.recommendation
    offers = [offer(page, sli_type, part, may_decide) for sli_type, part in stored_parts(document)]
    latencies = [one for one in offers if one.sli_type != SliType.AVAILABILITY]
    active_slos = [
        shown_slo(page, sli_type, may_decide) for sli_type in SliType.values if sli_type in page.slos
    ]
    explanation = document["explanation"] if document else None
    availability = document["recommendations"].get("availability") if document else None
    composite = availability["composite"] if availability else None
    quality = page.data_quality
    missing = [sli_type for sli_type in SliType.values if sli_type not in page.slos] if may_decide else []
    confidence = document["confidence"] if document else None
    awaited = renewal(page)
    standing = page.status
    state, state_level = state_of(standing.state, standing.budget_left) if standing else ("", "")
    summary = explanation["summary"] if explanation else ""
    window_days = page.window_days
    return Presented(
        main=next((one for one in offers if one.sli_type == SliType.AVAILABILITY), None),
        latency_offers=[one for one in latencies if one.tiers],
        latency_notes=latency_notes(latencies, window_days),
        latency_reasons=list(dict.fromkeys(one.reason for one in latencies if not one.tiers and one.reason)),
        active=next((one.words for one in active_slos if one.sli_type == SliType.AVAILABILITY), ""),
        state=state,
        state_level=state_level,
        state_reason=bound(standing.reason) if standing else "",
        due_words=[one.reason for one in page.due],
        active_slos=active_slos,
        availability=drawings.availability(page),
        latency=drawings.latency(page),
        latency_note=drawings.latency_note(page),
        why=drawings.why(explanation),
        why_title=f"Why {percent(explanation['target'] if explanation else None)}",
        summary="" if availability and summary == availability["reason"] else bound(summary),
        counterfactuals=[bound(row["text"]) for row in explanation["counterfactuals"]] if explanation else [],
        fan=drawings.fan(availability, page),
        fan_title=f"The next {window_days} days, and the past",
        fan_note="of 100 such windows, so many end in each band · bars: 90 % interval",
        reliability=certainty.reliability(availability, quality["days"] if quality else None),
        meaning=certainty.meaning(document, availability),
        dependencies=evidence.dependencies(composite),
        set_urls=[(SLI_WORDS[sli_type], set_url(page, sli_type)) for sli_type in missing],
        regenerate_url=regenerate_url(page) if user.has_perm("slos.regenerate", service) else "",
        data=certainty.data_words(quality),
        quality=certainty.data_lines(service.service_id, quality),
        doubts=certainty.doubts(service.service_id, quality),
        confidence=confidence,
        confidence_words=certainty.confidence_words(
            confidence, availability["verdict"] if availability else "", quality
        ),
        history=history(page, may_see_audit=user.has_perm("audit.view", service)),
        who_may="" if may_decide else who_may_decide(user, service),
        made=age(datetime.fromisoformat(document["generated_at"])) if document else "",
        stale=duration(document["age_seconds"])
        if document and document["is_stale"] and awaited is None
        else "",
        renewal=awaited,
        window_days=window_days,
        composite=composite if composite and composite["point"] is not None else None,
    )
