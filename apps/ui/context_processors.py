"""The frame around each page. Nothing is read from the database until a template draws it."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property, lru_cache

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from apps.ui import navigation
from apps.ui.navigation import Item


@lru_cache(maxsize=256)
def drawn_rooms(groups: tuple[navigation.Group, ...]) -> SafeString:
    """Return the rail's markup. It depends only on its entries and counts, which are equal on most pages."""
    return render_to_string("components/navigation.html", {"groups": groups})


class Shell:
    """Rail, search address, age of the data and what waits for this person, each read when first drawn."""

    def __init__(self, request: HttpRequest, path: str = "") -> None:
        self._request = request
        self._path = path

    @cached_property
    def navigation(self) -> tuple[navigation.Group, ...]:
        return navigation.groups(self._request.user, self._path or self._request.path)

    @cached_property
    def rooms(self) -> SafeString:
        """The rail's markup. A page has it twice: at the side, and in the menu of a narrow screen."""
        return drawn_rooms(self.navigation)

    @cached_property
    def search_url(self) -> str:
        return navigation.address("services") if self.is_signed_in else ""

    @cached_property
    def needs_you_url(self) -> str:
        return self._most_urgent.href if self._most_urgent else ""

    @cached_property
    def is_signed_in(self) -> bool:
        return self._request.user.is_authenticated

    @cached_property
    def needs_you(self) -> int:
        return self._most_urgent.count if self._most_urgent else 0

    @cached_property
    def needs_you_label(self) -> str:
        return self._most_urgent.label if self._most_urgent else ""

    @cached_property
    def _most_urgent(self) -> Item | None:
        """Return the first entry of the rail with something that waits for this person. The rail has the counts
        already.
        """
        if not self.is_signed_in:
            return None
        return next((item for group in self.navigation for item in group.items if item.count), None)

    @cached_property
    def shortcomings(self) -> list[str]:
        found = navigation.provided(navigation.SHORTCOMINGS)
        return list(found()) if self.is_signed_in else []

    @cached_property
    def data_as_of(self) -> datetime | None:
        if not self.is_signed_in:
            return None
        for name in navigation.declared("newest_data"):
            newest: datetime | None = navigation.provided(name)()
            return newest
        return None


def shell(request: HttpRequest) -> dict[str, object]:
    return {"shell": Shell(request)}
