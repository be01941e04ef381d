"""Who may open a page, declared where the page is: ``@page("slos.view")``.

A view that is not declared so fails a test that walks all addresses; docs/rooms.md says how to add one.
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
from apps.core.http import SignedInRequest, actor_from

READ = ("GET", "HEAD")
POST = ("POST",)
GET_OR_POST = ("GET", "POST")

type View[**P, RequestT: HttpRequest] = Callable[Concatenate[RequestT, P], HttpResponseBase]


class PageRequest(SignedInRequest):
    """What a page gets where somebody has to be signed in: this person, and on whose behalf the page acts."""

    htmx: HtmxDetails
    actor: Actor


@dataclass(frozen=True, slots=True)
class Access:
    """What a page asks of whoever opens it. Without a permission, being signed in is enough."""

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
    """Say who may open a page, and by which methods. Nothing keeps a copy of what it shows.

    Exactly one of these is given:

    permission:
        the permission that the page needs; where it belongs to an object, the action asks again for that object.
    signed_in:
        anybody who is signed in, because what they may do depends on what they ask for.
    public:
        everybody.

    Whoever is not signed in is sent to the sign-in and back. Whoever may not be here gets 403 and reads who may.
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
    """Return what a view declares, or ``None`` where it declares nothing."""
    return getattr(view, "access", None)


def draw(
    request: PageRequest, template: str, context: dict[str, Any], *, part: str = "", status: int = 200
) -> HttpResponse:
    """Render a page; to htmx, only its partial called ``part`` where there is one."""
    name = f"{template}#{part}" if part and request.htmx else template
    return render(request, name, context, status=status)
