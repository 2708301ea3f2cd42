"""Holds every answer of the service to its own description: an application of the tests fails on an answer that the OpenAPI
document does not allow, whichever test asked."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema_rs
import orjson
from aiohttp import web

from adapters.http.described import SHAPES, describe
from projections.click_story import ClickStory
from projections.difference_text import DifferenceShown
from projections.picture import Replay

SHAPES_OF_READ_MODELS: dict[str, type] = {"Replay": Replay, "ClickStory": ClickStory, "Difference": DifferenceShown}


def held_to_description(app: web.Application) -> web.Application:
    """The same application; an answer that is not as described becomes a 500 that says why."""
    app[SHAPES] = lambda: SHAPES_OF_READ_MODELS
    document = describe(app, "test")

    @cache
    def validator(path: str, method: str, status: str) -> Any:
        answers = document["paths"][path][method]["responses"]
        content = answers.get(status, answers["default"]).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return None if schema is None else jsonschema_rs.validator_for({**schema, "components": document["components"]})

    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        resource = request.match_info.route.resource
        if resource is None or not isinstance(response, web.Response) or response.content_type != "application/json":
            return response
        assert isinstance(response.body, bytes)
        against = validator(resource.canonical, request.method.lower().replace("head", "get"), str(response.status))
        told = orjson.loads(response.body)
        wrong = "an answer in JSON is not described" if against is None else "; ".join(map(str, against.iter_errors(told)))
        if wrong:
            raise AssertionError(f"{request.method} {resource.canonical} {response.status}: {wrong}\n{told}")
        return response

    app.middlewares.insert(0, check)
    return app
