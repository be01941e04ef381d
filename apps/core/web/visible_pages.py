"""Pages show invisible characters as their code points."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.core.text.names import has_undrawn, visible

# Text inside tags is kept, because an address or a value must keep its meaning. So is text that is sent or run.
_KEPT = re.compile(r"(<(script|style|textarea)\b.*?</\2\s*>|<[^>]*>)", re.DOTALL | re.IGNORECASE)


class VisibleCharactersMiddleware:
    """Write characters that are invisible or reverse the text as their code points: ``⟨U+202E⟩``.

    New names may not hold them, but older names, observed names and free text may. It changes the whole page, so that
    no template can forget it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.streaming or not response.headers.get("Content-Type", "").startswith("text/html"):
            return response
        if response.content.isascii():
            return response
        text = response.content.decode()
        if has_undrawn(text):
            # The two groups give three pieces each time: text, what is kept, and the name of its tag or None.
            pieces = _KEPT.split(text)
            response.content = "".join(
                visible(piece) if index % 3 == 0 else piece
                for index, piece in enumerate(pieces)
                if index % 3 != 2
            )
        return response
