"""Additions to the OpenAPI document: the problems of every operation, and one operation for each action."""

from __future__ import annotations

from http import HTTPStatus
from inspect import getdoc
from typing import Any

from ninja.openapi.schema import OpenAPISchema

from apps.core.actions import AnyAction, offered_actions
from apps.core.json_types import JsonObject
from apps.core.web.http import IDEMPOTENCY_HEADER
from apps.core.web.problems import CONTENT_TYPE

PROBLEM_SCHEMA: JsonObject = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `errors` lists the fields at fault; `type` leads to its explanation.",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}

READ_PROBLEMS = (400, 401, 403, 404, 405, 422, 429, 500, 503)
WRITE_PROBLEMS = (400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 503)

IDEMPOTENCY_PARAMETER: JsonObject = {
    "in": "header",
    "name": IDEMPOTENCY_HEADER,
    "required": False,
    "description": "Sent again with the same key within 24 hours, the same request has its effect once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def complete(document: OpenAPISchema, prefix: str) -> None:
    """Add the problem responses to every operation, and an operation for every action under ``prefix``."""
    schemas = document["components"].setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    document["components"]["responses"] = {f"Problem{status}": _response(status) for status in WRITE_PROBLEMS}
    _spell_out_actions(document, prefix)
    for operations in document["paths"].values():
        for method, operation in operations.items():
            statuses = READ_PROBLEMS if method == "get" else WRITE_PROBLEMS
            # Keys of the responses are numbers as ninja writes them, and text after a trip through JSON.
            operation["responses"] = {str(status): value for status, value in operation["responses"].items()}
            for status in statuses:
                operation["responses"].setdefault(
                    str(status), {"$ref": f"#/components/responses/Problem{status}"}
                )
            if method == "post" and not operation["operationId"].endswith(".preview"):
                operation.setdefault("parameters", []).append(IDEMPOTENCY_PARAMETER)


def _response(status: int) -> JsonObject:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _spell_out_actions(document: OpenAPISchema, prefix: str) -> None:
    """Replace ``/actions/{name}`` by one operation for each action, with its own input."""
    paths = document["paths"]
    schemas = document["components"]["schemas"]
    run = paths.pop(f"{prefix}actions/{{name}}", {}).get("post")
    preview = paths.pop(f"{prefix}actions/{{name}}/preview", {}).get("post")
    if run is None or preview is None:
        return
    for action in offered_actions():
        schema = action.Input.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        name = f"{action.Input.__module__}.{action.Input.__qualname__}".removeprefix("apps.").replace(
            ".actions", ""
        )
        schemas[name] = schema
        paths[f"{prefix}actions/{action.name}"] = {
            "post": _operation(run, action, name, str(action.success_status))
        }
        paths[f"{prefix}actions/{action.name}/preview"] = {"post": _operation(preview, action, name, "200")}


def _operation(model: dict[str, Any], action: AnyAction, schema: str, status: str) -> JsonObject:
    is_preview = model["operationId"].endswith("preview")
    success = next(value for key, value in model["responses"].items() if str(key).startswith("2"))
    return model | {
        "operationId": action.name + (".preview" if is_preview else ""),
        "summary": f"{action.title} (preview)" if is_preview else action.title,
        "description": f"{getdoc(action)}\n\nPermission: {action.permission}. Risk: {action.risk}.",
        "parameters": [],
        "responses": {status: success},
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
        },
    }
