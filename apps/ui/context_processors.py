"""What the frame around each page shows. Nothing is asked of the database until a template draws it."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from django.core.cache import cache
from django.http import HttpRequest

from apps.ui import navigation

NEWEST_SECONDS = 15
"""How long the age of the data may be behind: it is asked of every hour there is, for every page."""


class Shell:
    """Rail, search address, age of the data and what waits for this person, each found when first drawn."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def navigation(self) -> tuple[navigation.Group, ...]:
        return navigation.groups(self._request.user, self._request.path)

    @cached_property
    def search_url(self) -> str:
        return navigation.address("services") if self.is_signed_in else ""

    @cached_property
    def needs_you_url(self) -> str:
        return navigation.address("recommendations") or navigation.address("overview")

    @cached_property
    def is_signed_in(self) -> bool:
        return self._request.user.is_authenticated

    @cached_property
    def needs_you(self) -> int:
        if not self.is_signed_in:
            return 0
        for group in self.navigation:  # The rail has counted them already.
            for item in group.items:
                if item.href == self.needs_you_url:
                    return item.count
        return navigation.waiting(navigation.DECISIONS_DUE, self._request.user)

    @cached_property
    def data_as_of(self) -> datetime | None:
        if not self.is_signed_in:
            return None
        newest = navigation.provided(navigation.NEWEST_DATA)
        if newest is None:
            return None

        def written() -> str:
            found = newest()
            return found.isoformat() if found else ""

        text = cache.get_or_set("shell:newest-data-at", written, NEWEST_SECONDS)
        return datetime.fromisoformat(text) if text else None


def shell(request: HttpRequest) -> dict[str, object]:
    return {"shell": Shell(request)}
