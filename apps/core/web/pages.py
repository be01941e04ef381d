"""Declare on a view who may open the page: ``@page("slos.view")``.

A view without this declaration fails a test that visits all addresses. docs/rooms.md says how to add a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Literal, cast, overload

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django_htmx.middleware import HtmxDetails

from apps.core.actions import Actor
from apps.core.errors import NotAllowed
from apps.core.web.http import SignedInRequest, actor_from

READ = ("GET", "HEAD")
POST = ("POST",)
GET_OR_POST = ("GET", "POST")

type View[**P, RequestT: HttpRequest] = Callable[Concatenate[RequestT, P], HttpResponseBase]


class PageRequest(SignedInRequest):
    """The request of a page that needs a sign-in, with the person and the actor."""

    htmx: HtmxDetails
    actor: Actor


@dataclass(frozen=True, slots=True)
class Access:
    """What a page requires of its visitor. Without a permission, being signed in is enough."""

    permission: str
    is_public: bool
    methods: tuple[str, ...]


@overload
def page[**P](
    permission: str, *, methods: Sequence[str] = READ
) -> Callable[[View[P, PageRequest]], View[P, HttpRequest]]: ...


@overload
def page[**P](
    *, signed_in: Literal[True], methods: Sequence[str] = READ
) -> Callable[[View[P, PageRequest]], View[P, HttpRequest]]: ...


@overload
def page[ViewT: Callable[..., HttpResponseBase]](
    *, public: Literal[True], methods: Sequence[str] = READ
) -> Callable[[ViewT], ViewT]: ...


def page(
    permission: str = "", *, signed_in: bool = False, public: bool = False, methods: Sequence[str] = READ
) -> Any:
    """Declare who may open a page, and with which methods. The answer forbids caches to keep a copy.

    Exactly one of these is given:

    permission:
        the permission that the page needs; where it belongs to an object, the action checks it again for that object.
    signed_in:
        everybody who is signed in; what they may do depends on what they ask for.
    public:
        everybody.

    People who are not signed in go to the sign-in and back. People without the permission get 403 and read who has it.
    """
    if [bool(permission), signed_in, public].count(True) != 1:
        raise TypeError("A page needs a permission, signed_in=True or public=True: one of the three.")
    access = Access(permission, public, tuple(methods))

    def declare(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        answers = require_http_methods(access.methods)(view)

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if public:
                return answers(request, *args, **kwargs)
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            own = cast(PageRequest, request)
            own.actor = actor_from(request)
            if permission and not own.actor.may(permission):
                refusal = own.actor.refusal(permission)
                raise NotAllowed(refusal[0].upper() + refusal[1:])
            return answers(request, *args, **kwargs)

        declared = never_cache(guarded)
        declared.access = access  # type: ignore[attr-defined]
        return declared

    return declare


def access_of(view: Callable[..., Any]) -> Access | None:
    """Return a view's declaration, or ``None`` without one."""
    return getattr(view, "access", None)


def draw(
    request: PageRequest, template: str, context: dict[str, Any], *, part: str = "", status: int = 200
) -> HttpResponse:
    """Render a page. For htmx, render only the partial that ``part`` names, if any."""
    name = f"{template}#{part}" if part and request.htmx else template
    return render(request, name, context, status=status)
