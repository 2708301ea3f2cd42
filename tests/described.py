"""Holds every answer of the service to its own description: an application of the tests fails on an answer that the OpenAPI
document does not allow, whichever test asked."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
from aiohttp import web

from adapters.http.described import SHAPES, describe
from projections.click_story import ClickStory
from projections.difference_text import DifferenceShown
from projections.picture import Replay

SHAPES_OF_READ_MODELS: dict[str, type] = {"Replay": Replay, "ClickStory": ClickStory, "Difference": DifferenceShown}


class Description:
    """What applications with the same routes say of themselves, and whoever checks an answer by it."""

    def __init__(self, app: web.Application) -> None:
        document = describe(app, "test")
        self._paths, self._components = document["paths"], document["components"]
        self._validators: dict[tuple[str, str, int], Any] = {}

    def validator(self, path: str, method: str, status: int) -> Any:
        """What checks such an answer; None when nothing is said of it."""
        asked = path, method, status
        if asked not in self._validators:
            answers = self._paths[path][method]["responses"]
            content = answers.get(str(status), answers["default"]).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            against = None if schema is None else jsonschema_rs.validator_for({**schema, "components": self._components})
            self._validators[asked] = against
        return self._validators[asked]


_DESCRIPTIONS: dict[frozenset[tuple[str, str]], Description] = {}
"""By method and path of all routes: to make one takes a tenth of a second, and most tests make two applications."""


def description_of(app: web.Application) -> Description:
    """The description of these routes, made once."""
    routes = frozenset((route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None)
    if routes not in _DESCRIPTIONS:
        _DESCRIPTIONS[routes] = Description(app)
    return _DESCRIPTIONS[routes]


def held_to_description(app: web.Application) -> web.Application:
    """The same application; an answer that is not as described becomes a 500 that says why."""
    app[SHAPES] = lambda: SHAPES_OF_READ_MODELS
    description = description_of(app)

    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        resource = request.match_info.route.resource
        if resource is None or not isinstance(response, web.Response) or response.content_type != "application/json":
            return response
        assert isinstance(response.body, bytes)
        against = description.validator(resource.canonical, request.method.lower().replace("head", "get"), response.status)
        told = orjson.loads(response.body)
        wrong = "an answer in JSON is not described" if against is None else "; ".join(map(str, against.iter_errors(told)))
        if wrong:
            raise AssertionError(f"{request.method} {resource.canonical} {response.status}: {wrong}\n{told}")
        return response

    app.middlewares.insert(0, check)
    return app
