"""Teams: the list, and who is in one and what it owns."""

from __future__ import annotations

from django.http import HttpResponse

from apps.accounts import lists, queries
from apps.core.web.pages import PageRequest, draw, page

SERVICES_SHOWN = 200


@page("accounts.view_teams")
def teams(request: PageRequest) -> HttpResponse:
    """Show the list of teams with the numbers of members and services."""
    context = {
        "listing": lists.team_listing(request.GET),
        "may_manage": request.user.has_perm("accounts.manage_users"),
    }
    return draw(request, "accounts/teams.html", context, part="listing")


@page("accounts.view_teams")
def team(request: PageRequest, team_id: int) -> HttpResponse:
    """Show a team's members and services."""
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
    return draw(request, "accounts/team.html", context, part="team")
