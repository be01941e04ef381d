"""Checks what a service owner may state in a graph: services of their own teams, and whom these call.

Without this check an ingestion would bypass the permission on single services: an owner could give any service to
their own team.
"""

from __future__ import annotations

from apps.accounts.models import Team, User
from apps.accounts.permissions import team_ids
from apps.catalog.ingesting.validation import Graph, Place, Problems, RowProblem
from apps.catalog.models import Service


def check_ownership(graph: Graph, user: User, problems: Problems) -> None:
    """Report every row that this user may not state: none for an SRE admin, all after the permission was lost."""
    if not user.is_active or not user.has_perm("catalog.ingest"):
        problems.add(
            RowProblem(0, "services", 0, "", f"{user.get_username()} may no longer change the graph")
        )
        return
    if user.role == User.Role.SRE_ADMIN:
        return
    own = dict(Team.objects.filter(pk__in=team_ids(user)).values_list("name", "pk"))
    named = {row.service_id for row in graph.services} | {row.source for row in graph.dependencies}
    known = {
        service.service_id: service
        for service in Service.objects.filter(service_id__in=named).select_related("team")
    }
    declared: set[str] = set()
    for row, place in zip(graph.services, graph.service_places, strict=True):
        service = known.get(row.service_id)
        if service is not None and service.team is not None and service.team.name not in own:
            _add(
                problems, place, "services", "service_id", f"{row.service_id} belongs to team {service.team}"
            )
        elif service is not None and service.team is None and not service.is_discovered:
            message = f"{row.service_id} belongs to no team; an SRE admin can assign one"
            _add(problems, place, "services", "service_id", message)
        elif (row.team is None and (service is None or service.team is None)) or (
            row.team is not None and row.team not in own
        ):
            teams = ", ".join(sorted(own)) or "none"
            _add(problems, place, "services", "team", f"must be one of your teams ({teams})")
        else:
            declared.add(row.service_id)
    for edge, place in zip(graph.dependencies, graph.dependency_places, strict=True):
        service = known.get(edge.source)
        owned = service is not None and service.team is not None and service.team.name in own
        if not owned and edge.source not in declared:
            message = (
                f"{edge.source} is not a service of your teams; only its owners can state its dependencies"
            )
            _add(problems, place, "dependencies", "source", message)


def _add(problems: Problems, place: Place, list_: str, field: str, message: str) -> None:
    problems.add(RowProblem(place.part, list_, place.row, field, message))  # type: ignore[arg-type]
