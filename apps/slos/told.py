"""What an entry of the audit trail about a promise says, in one sentence of the operator's language."""

from __future__ import annotations

from typing import Any

from apps.core.models import AuditEntry
from apps.slos.models import ActiveSlo
from apps.slos.words import SLI_WORDS, promise_words
from apps.ui.format import plural

MANUAL = {"slos.set", "slos.edit"}


def told(entry: AuditEntry) -> str:
    """Say what was done, without who and when: ``Availability 99.9 % over 28 days set by hand``.

    Falls back on the entry's own label for an action that this module does not know.
    """
    if entry.action == "slos.store_recommendations":
        counts = entry.after or {}
        number = counts.get("services")
        return (
            f"{plural(number, 'service')} got new recommendations" if number else "Recommendations made anew"
        )
    if entry.action == "slos.regenerate":
        return "A new recommendation asked for"
    before, after = entry.before or {}, entry.after or {}
    name = (SLI_WORDS.get(str((after or before).get("sli_type")), "") or _sli_from(entry)).capitalize()
    if entry.action == "slos.reject":
        return f"{name} recommendation rejected"
    if entry.action == "slos.retire":
        return f"{name} {promise_text(before)} retired"
    if entry.action == "slos.accept":
        tier = after.get("tier")
        return f"{name} {promise_text(after)} accepted" + (f", the {tier} tier" if tier else "")
    if entry.action == "slos.modify":
        return f"{name} {promise_text(after)} chosen in place of the tiers"
    if entry.action == "slos.set":
        return f"{name} {promise_text(after)} set by hand"
    if entry.action == "slos.edit":
        return f"{name} changed from {promise_text(before)} to {promise_text(after)}"
    return entry.object_label or entry.action


def promise_text(snapshot: dict[str, Any]) -> str:
    """A promise from its snapshot, in one line: ``99.9 % over 28 days``."""
    if not snapshot or snapshot.get("target") is None:
        return "none"
    terms = {name: snapshot.get(name) for name in ("sli_type", "target", "threshold_ms", "window_days")}
    basis, source = snapshot.get("basis") or ActiveSlo.LatencyBasis.REQUESTS, snapshot.get("source") or ""
    return promise_words(ActiveSlo(basis=basis, source=source, **terms))


def level_of(action: str) -> str:
    """The mark beside an entry: what was promised is fine, what was refused or ended asks for a look."""
    if action in {"slos.accept", "slos.modify", *MANUAL}:
        return "ok"
    return "warn" if action in {"slos.reject", "slos.retire"} else ""


def _sli_from(entry: AuditEntry) -> str:
    label = entry.object_label
    return next((words for words in SLI_WORDS.values() if label.startswith(words)), "")
