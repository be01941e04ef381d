"""The sentence of an audit entry. The action that made the entry words it, whatever its age."""

from __future__ import annotations

import structlog

from apps.core import actions
from apps.core.actions import Mark, subject_after
from apps.core.errors import NotFound
from apps.core.models import AuditEntry

logger = structlog.get_logger(__name__)

# What an action may raise when an older version wrote the record in another shape.
_ANOTHER_SHAPE = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)


def sentence(entry: AuditEntry) -> str:
    """Return what was done, without who and when: ``Availability 99.9 % over 28 days set by hand``.

    Where this version does not know the action or cannot read the record, the sentence names only the subject.
    """
    try:
        action = actions.get(entry.action)
    except NotFound:
        return subject_after(entry.action, entry)
    try:
        return action.sentence(entry)
    except _ANOTHER_SHAPE:
        logger.warning("audit.record_not_read", entry=str(entry.pk), action=entry.action, exc_info=True)
        return subject_after(action.title, entry)


def mark(entry: AuditEntry) -> Mark:
    """Return the mark beside the entry in a timeline; empty for an action that this version does not know."""
    try:
        return actions.get(entry.action).mark
    except NotFound:
        return ""
