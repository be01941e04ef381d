"""The API of the actions, and the probes that say whether this installation is alive and ready."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest
from ninja import Body, Router, Schema, Status
from pydantic import Field

from apps.core import actions, queries
from apps.core.actions import AnyAction, Preview
from apps.core.dispatcher import preview as preview_action
from apps.core.web.http import actor_from, dispatch_api

router = Router(tags=["actions"])
health_router = Router(tags=["health"])
ROUTERS = (health_router, router)


class ActionOut(Schema):
    name: str
    title: str
    permission: str
    risk: str
    allowed: bool = Field(description="Whether your role permits it on at least some objects.")
    input_schema: dict[str, Any]


class ActionsOut(Schema):
    items: list[ActionOut]


class FieldChangeOut(Schema):
    label: str
    before: str
    after: str


class TouchOut(Schema):
    count: int
    label: str
    names: list[str]


class PreviewOut(Schema):
    summary: str
    changes: list[FieldChangeOut]
    touches: list[TouchOut]
    warnings: list[str]
    undo: str


class HealthOut(Schema):
    status: str
    checks: dict[str, str] = Field(default_factory=dict)


@cache
def _input_schema(action: AnyAction) -> dict[str, Any]:
    return action.Input.model_json_schema()


@router.get("/actions", response=ActionsOut, summary="List the actions")
def list_actions(request: HttpRequest) -> ActionsOut:
    """Every change that can be made, with the form of its input."""
    actor = actor_from(request)
    items = [
        ActionOut(
            name=action.name,
            title=action.title,
            permission=action.permission,
            risk=action.risk.value,
            allowed=actor.may(action.permission),
            input_schema=_input_schema(action),
        )
        for action in actions.offered_actions()
    ]
    return ActionsOut(items=items)


@router.post("/actions/{name}", response={200: dict[str, Any], 201: dict[str, Any], 202: dict[str, Any]})
def run_action(request: HttpRequest, name: str, data: Body[dict[str, Any]]) -> Status[dict[str, Any]]:
    """Make a change. The body is the action's input; the answer is its result."""
    return dispatch_api(request, name, data)


@router.post("/actions/{name}/preview", response=PreviewOut, operation_id="action_preview")
def preview(request: HttpRequest, name: str, data: Body[dict[str, Any]]) -> Preview:
    """Say what a change would do, without doing any of it."""
    return preview_action(name, data, actor=actor_from(request))


@health_router.get("/health", response=HealthOut, auth=None, throttle=[], summary="Is the process alive")
def health(request: HttpRequest) -> queries.Health:
    """Touches nothing else."""
    return queries.liveness()


@health_router.get(
    "/health/ready", response={200: HealthOut, 503: HealthOut}, auth=None, throttle=[], summary="Can it serve"
)
def ready(request: HttpRequest) -> Status[queries.Health]:
    """503 while PostgreSQL is away or its migrations are not applied; anything else only degrades."""
    readiness = queries.readiness()
    return Status(readiness.http_status, readiness.document)
