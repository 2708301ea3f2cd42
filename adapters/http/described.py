"""What an address takes and answers, said beside its handler, and the OpenAPI document made of that (PRODUCT G4).

Schemas come from the types themselves: those that parse the bodies (``bodies.py``), those that describe the answers
(``shapes.py``). A handler without a description fails the tests, and so does an answer that its description does not allow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from adapters.http.guard import COOKIE, OPEN, PAGE_HEADER, SECURE_COOKIE, is_internal
from adapters.http.shapes import Words

JSON: Final = "application/json"
HTML: Final = "text/html"
FORM: Final = "application/x-www-form-urlencoded"

Shape = type | str | None
"""A body: its type; the name of a type that only ``server.py`` knows (see ``SHAPES``); or None for text, bytes, or no body."""

H = TypeVar("H", bound=Callable[..., Any])
SHAPES: web.AppKey[Callable[[], Mapping[str, type]]] = web.AppKey("shapes")
"""Answer types that are looked up by name: they belong to read models, which this room may not import."""

_OPERATION: Final = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address. ``answers``: status -> (media types, shape); any other status is an error in words."""

    tag: str
    answers: Mapping[int, tuple[tuple[str, ...], Shape]]
    body: Shape = None
    body_media: tuple[str, ...] = (JSON,)
    body_needed: bool = True
    query: type | None = None


def described(
    tag: str,
    ok: Shape = None,
    *,
    status: int = 200,
    media: str | tuple[str, ...] = JSON,
    body: Shape = None,
    body_media: str | tuple[str, ...] = JSON,
    body_needed: bool = True,
    query: type | None = None,
    also: Mapping[int, Shape] | None = None,
) -> Callable[[H], H]:
    """Say of a handler what it answers when all is well (``ok``), what it takes, and which other answers are no errors in words."""
    medias, body_medias = ((each,) if isinstance(each, str) else each for each in (media, body_media))
    answers = {status: (medias, ok), **{number: ((JSON,), shape) for number, shape in (also or {}).items()}}
    operation = Operation(
        tag=tag, answers=answers, body=body, body_media=body_medias, body_needed=body_needed, query=query
    )

    def mark(handler: H) -> H:
        setattr(handler, _OPERATION, operation)
        return handler

    return mark


def operation_of(handler: Any) -> Operation | None:
    """The description that a handler was given by :func:`described`; None if it has none."""
    found = getattr(handler, _OPERATION, None)
    return found if isinstance(found, Operation) else None


def describe(app: web.Application, version: str) -> dict[str, Any]:
    """The OpenAPI document of an application's routes: each handler's first docstring line says what it does."""
    found = [
        (route.method.lower(), route.resource.canonical, route.handler, operation)
        for route in app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "*")
        if (operation := operation_of(route.handler)) is not None
    ]
    shapes = app[SHAPES]()
    types = {shape for *_, operation in found for shape in _types(operation, shapes)} | {Words}
    ordered = sorted(types, key=lambda each: each.__qualname__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for method, path, handler, operation in found:
        paths.setdefault(path, {})[method] = _told(path, method, handler, operation, shapes, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Call service between Asterisk and MoySklad",
            "version": version,
            "description": "Times named *_ms are milliseconds since the epoch, UTC. Errors are always {error, field, hint}.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }


_SECURITY: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "MS_ADMIN_TOKEN, for programs"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"given by a log-in, for pages; behind https it is {SECURE_COOKIE}",
    },
    "inside": {"type": "http", "scheme": "bearer", "description": "MS_INTERNAL_TOKEN; not asked of near callers"},
}


def _types(operation: Operation, shapes: Mapping[str, type]) -> list[type]:
    named = [shape for _, shape in operation.answers.values()] + [operation.body, operation.query]
    return [found for shape in named if (found := _resolved(shape, shapes)) is not None]


def _resolved(shape: Shape, shapes: Mapping[str, type]) -> type | None:
    return shapes.get(shape, dict[str, Any]) if isinstance(shape, str) else shape


def _told(
    path: str,
    method: str,
    handler: Any,
    operation: Operation,
    shapes: Mapping[str, type],
    schema_of: Mapping[type, dict[str, Any]],
    components: Mapping[str, Any],
) -> dict[str, Any]:
    def content(medias: tuple[str, ...], shape: Shape) -> dict[str, Any]:
        found = _resolved(shape, shapes)
        schema = schema_of[found] if found is not None else {"type": "string"}
        return {media: {"schema": schema} for media in medias}

    summary = (handler.__doc__ or "").strip().splitlines()
    told: dict[str, Any] = {
        "summary": summary[0] if summary else "",
        "operationId": f"{method} {path}",
        "tags": [operation.tag],
        "responses": {
            **{
                str(status): {"description": _STATUS.get(status, "done"), **({"content": content(*answer)} if answer[0] else {})}
                for status, answer in operation.answers.items()
            },
            "default": {"description": "an error in words", "content": content((JSON,), Words)},
        },
    }
    parameters = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for part in path.split("/")
        if part.startswith("{")
    ]
    if operation.query is not None:
        parameters += _query(schema_of[operation.query], components)
    if method != "get" and path.startswith("/ms-admin/"):
        header = {"name": PAGE_HEADER, "in": "header", "required": False, "schema": {"type": "string"}}
        parameters.append({**header, "description": "needed with a session, any value; not with a token"})
    if parameters:
        told["parameters"] = parameters
    if operation.body is not None:
        told["requestBody"] = {"required": operation.body_needed, "content": content(operation.body_media, operation.body)}
    if is_internal(path):
        told["security"] = [{}, {"inside": []}]
    else:
        told["security"] = [] if path in OPEN else [{"token": []}, {"session": []}]
    return told


_STATUS: Final = {
    201: "made",
    202: "begun",
    303: "it is elsewhere: see Location",
    304: "what you have is what there is",
    502: "MoySklad did not do it; in words",
}


def _query(reference: Mapping[str, Any], components: Mapping[str, Any]) -> list[dict[str, Any]]:
    schema = components[str(reference["$ref"]).rpartition("/")[2]]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": each}
        for name, each in schema.get("properties", {}).items()
    ]
