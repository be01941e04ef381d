"""The actors of accounts."""

from __future__ import annotations

import dramatiq
import structlog

from apps.accounts import sessions, sign_ins

logger = structlog.get_logger(__name__)


@dramatiq.actor(actor_name="accounts.tidy", queue_name="bulk")
def tidy() -> None:
    """Record what locks refused, and delete sessions that ended long ago."""
    logger.info("accounts.tidied", windows=sign_ins.settle(), sessions=sessions.purge())
