"""Converts a service id to one segment of a page's address, whatever characters are in it.

The escape is that of JSON Pointer (RFC 6901: ``~`` is ``~0``, ``/`` is ``~1``) with one addition: browsers take the
segments ``.`` and ``..`` for steps in the path, so these two ids are written ``~2`` and ``~2~2``. Everything else is
left to the percent-encoding that Django's ``reverse`` and the server apply.
"""

from __future__ import annotations

from apps.catalog.schemas import service_id_problem

MARK = "~"
"""The mark before an escaped id in a path of the API."""

_DOTS = {".": "~2", "..": "~2~2"}
_DOTS_BACK = {escaped: plain for plain, escaped in _DOTS.items()}


def encode(service_id: str) -> str:
    """Return the id as one path segment, before percent-encoding."""
    return _DOTS.get(service_id) or service_id.replace("~", "~0").replace("/", "~1")


def decode(segment: str) -> str:
    """Return the id that a segment stands for. Raises :class:`ValueError` for what :func:`encode` never writes."""
    if segment in _DOTS_BACK:
        return _DOTS_BACK[segment]
    service_id = segment.replace("~1", "/").replace("~0", "~")
    if encode(service_id) != segment:
        raise ValueError(f"{segment!r} is not an escaped service id.")
    return service_id


class ServicePathConverter:
    """The converter ``{service_path:service_id}`` of the API: the id as it is, slashes included, or escaped.

    After a first ``~`` the path is in the escaped form: ``~shop~1slos`` is ``shop/slos``. An id needs this form
    if its address would otherwise mean something else: because it ends in the name of a resource below a service,
    begins with ``~``, or has ``.``, ``..`` or nothing between two slashes.
    """

    regex = ".+"

    def to_python(self, value: str) -> str:
        """Return the service id; raises :class:`ValueError`, which Django turns into 404, for an invalid escape."""
        return decode(value[1:]) if value.startswith(MARK) else value

    def to_url(self, value: object) -> str:
        return MARK + encode(str(value))


class ServiceIdConverter:
    """Django's path converter ``<service_id:…>``."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        """Return the service id; raises :class:`ValueError`, which Django turns into 404, for an impossible one."""
        service_id = decode(value)
        if service_id_problem(service_id):
            raise ValueError(service_id_problem(service_id))
        return service_id

    def to_url(self, value: object) -> str:
        return encode(str(value))
