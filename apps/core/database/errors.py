"""Errors of a database that does not answer.

Errors::

    psycopg.OperationalError
    └── ServerSilent                     no sign of life within the time a client waits
    django.db.utils.OperationalError
    └── OutcomeUnknown                   the connection was lost while COMMIT was under way
"""

from __future__ import annotations

import psycopg
from django.db import OperationalError


class ServerSilent(psycopg.OperationalError):
    """The server gave no sign of life within the time that a client waits."""


class OutcomeUnknown(OperationalError):
    """The connection was lost while a COMMIT was under way: the change is stored, or it is not."""
