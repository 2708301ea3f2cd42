"""The description against the routes: nothing undescribed, nothing described that is not there (PRODUCT G4)."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest
from aiohttp import web

from adapters.http.app import VERSION, build_app
from adapters.http.described import describe, operation_of
from adapters.http.guard import OPEN, is_internal
from adapters.http.services import Holder
from tests.adapters.http.support import LOCAL, dial, dial_body, hangup
from tests.described import SHAPES_OF_READ_MODELS

START, END = "2026-11-23 15:13:20", "2026-11-23 15:13:52"


@pytest.fixture(scope="module")
def app() -> web.Application:
    return build_app(Holder(), LOCAL, lambda: SHAPES_OF_READ_MODELS)


@pytest.fixture(scope="module")
def document(app: web.Application) -> Any:
    return orjson.loads(orjson.dumps(describe(app, VERSION)))


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [(method, path, each) for path, methods in document["paths"].items() for method, each in methods.items()]


def test_every_route_is_described(app: web.Application, document: Any) -> None:
    routes = [route for route in app.router.routes() if route.resource is not None and route.method != "HEAD"]
    assert [route for route in routes if operation_of(route.handler) is None] == []
    there = {(route.method.lower(), route.resource.canonical) for route in routes if route.resource is not None}
    assert {(method, path) for method, path, _ in operations(document)} == there
    assert {path for _, path in there} >= {
        *(f"/internal/ms/{each}" for each in ("incoming-call", "hangup-call", "recovery-call", "call-event")),
        *("/internal/ms/notify-incoming", "/internal/ms/log-call", "/internal/ms/events", "/healthz", "/metrics", "/openapi.json"),
        *("/ms-admin/api/config/{enterprise}", "/ms-admin/api/calls", "/ms-admin/api/calls/{enterprise}/{call}"),
        *("/ms-admin/api/test/{enterprise}", "/ms-admin/test/{enterprise}", "/ms-admin/api/employees/{enterprise}"),
        *("/ms-admin/api/test-manager/{enterprise}", "/ms-admin/", "/ms/", "/ms.png", "/ms-admin/favicon.ico", "/docs"),
    }


def test_each_says_what_it_does_and_names_its_parameters(document: Any) -> None:
    for method, path, operation in operations(document):
        assert operation["summary"].endswith("."), path
        named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("/Words")
        assert (operation["security"] == []) == (path in OPEN)
        assert ({"inside": []} in operation["security"]) == is_internal(path)
        assert ("requestBody" in operation) <= (method in ("post", "put"))


def test_every_reference_leads_somewhere(document: Any) -> None:
    text = orjson.dumps(document).decode()
    named = {part.split('"', 1)[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named <= set(document["components"]["schemas"])
    assert named >= {"Words", "Replay", "SettingsShown", "Settings", "Signal", "Taken"}


def test_the_stream_is_described_as_one(document: Any) -> None:
    operation = document["paths"]["/internal/ms/events"]["post"]
    assert set(operation["requestBody"]["content"]) == {"application/x-ndjson"}
    answer = operation["responses"]["200"]["content"]["application/x-ndjson"]["schema"]
    line = document["components"]["schemas"][answer["$ref"].rpartition("/")[2]]
    assert {"n", "status", "call", "duplicate", "code", "error", "field", "hint"} <= set(line["properties"])


@pytest.mark.parametrize(
    "body", [dial(), dial(raw=dial_body(CallType="0")), hangup(start=START, end=END), {**dial(), "ms_config": {}}]
)
def test_what_the_dispatcher_sends_is_as_described(document: Any, body: Any) -> None:
    schema = document["paths"]["/internal/ms/hangup-call"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
    assert list(map(str, validator.iter_errors(body))) == []
    assert not validator.is_valid({**body, "raw": "text"})
