"""Teams: the list, and who is in one and what it owns."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts import lists, queries
from apps.accounts.views.people import may_see

SERVICES_SHOWN = 200


@login_required
@never_cache
@require_safe
def teams(request: HttpRequest) -> HttpResponse:
    """Which teams there are, how many people are in them and how many services are theirs."""
    may_see(request, "accounts.view_teams", "See teams")
    context = {
        "listing": lists.team_listing(request.GET),
        "may_manage": request.user.has_perm("accounts.manage_users"),
    }
    is_fragment = getattr(request, "htmx", False)
    return render(request, "accounts/teams.html" + ("#listing" if is_fragment else ""), context)


@login_required
@never_cache
@require_safe
def team(request: HttpRequest, team_id: int) -> HttpResponse:
    """Who decides for a team's services, and which they are."""
    may_see(request, "accounts.view_teams", "See teams")
    found = queries.find_team(team_id)
    members = [(user, *lists.state_of(user)) for user in found.members.order_by("username")]
    services = found.services.order_by("service_id")
    context = {
        "team": found,
        "members": members,
        "owners": sum(1 for user, _, _ in members if user.is_active and user.role == user.Role.SERVICE_OWNER),
        "services": services[:SERVICES_SHOWN],
        "service_count": services.count(),
        "may_manage": request.user.has_perm("accounts.manage_users"),
        "may_see_people": request.user.has_perm("accounts.view_people"),
    }
    is_fragment = getattr(request, "htmx", False)
    return render(request, "accounts/team.html" + ("#team" if is_fragment else ""), context)
