"""What the tests of pages share: somebody who is signed in, ids that try to break a page."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.test import Client

from apps.accounts.models import Team, User

ROLES = ("sre_admin", "service_owner", "auditor", "viewer")
HTMX = {"HX-Request": "true"}
HOSTILE_IDS = (
    "<script>alert(1)</script>",
    "a/b",
    "..",
    ".",
    "%2F",
    "a~1b",
    "q\"uo'te",
    "what?x=1#y&z",
    "служба 服务 ☃",
    "{{ 7|add:7 }}",
)


def client_of(role: str, *teams: Team) -> Client:
    """A browser in which somebody of that role is signed in."""
    user = User.objects.create_user(f"{role}-{User.objects.count()}", role=role)
    user.teams.set(teams)
    client = Client()
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    """What a page says: its words without markup, white space made one."""
    body = response.content.decode()
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body))).strip()


def rows_of(response: Any) -> list[str]:
    """The first link of every row of the page's tables, in order."""
    found = re.findall(r"<tr>\s*<td[^>]*><a [^>]*>(.*?)</a>", response.content.decode(), re.DOTALL)
    return [html.unescape(one) for one in found]


def links(response: Any, begin: str = "/") -> list[str]:
    """The addresses on a page that begin so."""
    return [
        html.unescape(one)
        for one in re.findall(r'href="([^"]+)"', response.content.decode())
        if html.unescape(one).startswith(begin)
    ]


def filled(client: Client, link: str, **typed: str) -> dict[str, str]:
    """What a browser sends from the dialog at ``link`` after these values were typed and their preview was seen."""
    fields = hidden(client.get(link)) | typed
    path = urlsplit(link).path
    previewed = hidden(client.post(f"{path}preview/", fields, headers=HTMX))["previewed"]
    return fields | {"previewed": previewed}


def hidden(response: Any) -> dict[str, str]:
    """The hidden and numeric inputs of a page, with their values."""
    return hidden_in(response.content.decode())


def hidden_in(body: str) -> dict[str, str]:
    """The hidden and numeric inputs of some markup, with their values."""
    found = re.findall(r'<input type="(?:hidden|number)"[^>]* name="([^"]+)" value="([^"]*)"', body)
    return {name: html.unescape(value) for name, value in found}


def given(address: str) -> dict[str, str]:
    """The query of an address, as a form sends it on."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
