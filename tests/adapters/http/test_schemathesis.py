"""Schemathesis against the real service: whatever it makes of the description, no answer is a 5xx or is outside the schema.

Slow (``./ms.sh test --all``). The service runs as it does in production, as a process beside a sandbox.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from adapters.http.app import build_app
from adapters.http.described import describe
from adapters.http.guard import Guard
from adapters.http.services import Holder
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from tests.described import SHAPES_OF_READ_MODELS

pytestmark = pytest.mark.slow
ROOT: Final = Path(__file__).resolve().parents[3]
TOKEN: Final = "admin-token"
EXAMPLES: Final = 60
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KNOWN: Final = {"enterprise": "0367", "call": "1757840723.6", "name": "base.css"}
"""What is there; ``configure`` adds a click, and the address at which it was made."""

CLICK: Final = {"srcNumber": "101", "destNumber": "+375290000001", "uid": "admin@demo"}

NEVER_GOOD: Final = {
    "/ms-admin/api/login",
    "/ms-admin/api/enter",
    "/ms-admin/api/links/{enterprise}/{link}",
    "/ms-admin/api/config/{enterprise}/restore",
    "/ms-admin/api/self-test/{enterprise}",
    "/ms-admin/api/self-test/{enterprise}/{test}",
    "/ms-admin/api/test-manager/{enterprise}",
    "/ms-admin/api/what-if-day/{enterprise}/{day}",
    "/ms/hooks/{uuid}",
}
"""What no made-up value can name, or what the other tests switch off meanwhile."""

LIMITED: Final = {"/ms/webhook/{uuid}"}
"""Where whoever asks too often is told so: the tests before this one may have."""

EXPECTED_5XX: Final = {"/ms-admin/api/test-manager/{enterprise}": (502,)}
"""MoySklad did not do it: that is the answer."""


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[str]:
    """The address of a running service with one enterprise, beside a sandbox; both are processes of their own."""
    folder = tmp_path_factory.mktemp("schemathesis")
    port, sandbox_port = free_ports(2)
    sandbox = f"http://127.0.0.1:{sandbox_port}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MS_") and key != "DATABASE_URL"} | {
        "MS_DATA_DIR": str(folder),
        "MS_PORT": str(port),
        "MS_ADMIN_TOKEN": TOKEN,
        "MS_ADMIN_PASSWORD": "password",
        "MS_PHONE_API_URL": f"{sandbox}/api/phone/1.0",
        "MS_MAIN_API_URL": f"{sandbox}/api/remap/1.2",
    }
    program = [sys.executable, str(ROOT / "server.py")]
    with (folder / "said").open("wb") as said:
        processes = [
            subprocess.Popen([*program, *arguments], env=environment, stdout=said, stderr=said)
            for arguments in (["sandbox", "--port", str(sandbox_port)], ["serve"])
        ]
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(f"{url}/healthz")
            wait_until_ready(f"{sandbox}/")
            configure(url)
            yield url
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                process.wait(timeout=30)


def wait_until_ready(url: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")


def configure(url: str) -> None:
    body = f'{{"enabled": true, "integration_code": "{SANDBOX_PHONE_KEY}", "api_token": "{SANDBOX_API_TOKEN}"}}'.encode()
    put = urllib.request.Request(f"{url}/ms-admin/api/config/0367", body, method="PUT")
    put.add_header("Authorization", f"Bearer {TOKEN}")
    dial = b'{"enterprise_number": "0367", "unique_id": "1757840723.6", "phone": "375290000001", "extension": "101"}'
    KNOWN["uuid"] = fetched(put)["ms"]["webhook_uuid"]
    fetched(urllib.request.Request(f"{url}/internal/ms/incoming-call", dial, method="POST"))
    fetched(urllib.request.Request(f"{url}/ms/webhook/{KNOWN['uuid']}", orjson.dumps(CLICK), method="POST"))
    clicks = urllib.request.Request(f"{url}/ms-admin/api/clicks/0367", headers={"Authorization": f"Bearer {TOKEN}"})
    for _ in range(300):
        if found := fetched(clicks)["clicks"]:
            KNOWN["click"] = found[0]["click"]
            return
        time.sleep(0.2)
    raise AssertionError("the click is in no list")


def fetched(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request) as answer:
        return orjson.loads(answer.read())


DOCUMENT: Final = orjson.loads(
    orjson.dumps(describe(build_app(Holder(), Guard([], "", ""), lambda: SHAPES_OF_READ_MODELS), "test"))
)
ENDLESS: Final = frozenset({"/ms-admin/api/board/stream", "/internal/ms/integrations/stream"})
"""Answers that go on for as long as somebody listens: ``test_looking_at_calls.py`` and ``test_integrations.py`` listen to them."""

OPERATIONS: Final = [
    (path, method) for path, methods in DOCUMENT["paths"].items() if path not in ENDLESS for method in methods
]


@schemathesis.serializer("application/x-ndjson")
def one_line(ctx: Any, value: Any) -> bytes:
    """A stream of one event."""
    return json.dumps(value).encode() + b"\n"


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda each: each.name.lower())
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_described(service: str, path: str, method: str, mode: GenerationMode) -> None:
    """With values that fit the description, and with values that do not."""
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if len(seen) % 2 == 0 or mode is GenerationMode.POSITIVE:
            make_sense_of(case)
        response = case.call(base_url=service, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30, allow_redirects=False)
        checks = CHECKS if response.status_code not in EXPECTED_5XX.get(path, ()) else CHECKS[1:]
        case.validate_response(response, checks=checks)
        seen.add(response.status_code)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "there is always something that fits"
        return  # nothing about it can be wrong
    if mode is GenerationMode.POSITIVE and path not in NEVER_GOOD:
        good = min(seen) < 400 or (path in LIMITED and 429 in seen)
        assert good, f"nothing was ever as it should be: {seen}"


def make_sense_of(case: Any) -> None:
    """Let a made-up request speak of what is there, where it would otherwise only ever be told that it is not."""
    for name in case.path_parameters or {}:
        if name in KNOWN and len(str(case.path_parameters[name])) % 2:
            case.path_parameters[name] = KNOWN[name]
    if isinstance(case.body, dict) and case.operation.path == "/ms/webhook/{uuid}" and len(str(case.body)) % 2:
        case.body.update(CLICK)
    if case.operation.definition.raw.get("tags") == ["directory"]:
        for about in (case.query, case.body):
            if isinstance(about, dict) and len(str(about)) % 2:
                about.update(enterprise_number="0367", phone="+375290000001")
        return
    if isinstance(case.body, dict) and case.operation.path.startswith("/internal/") and len(str(case.body)) % 2:
        case.body.update(enterprise_number="0367", unique_id=KNOWN["call"], phone="+375290000001", event="dial", direction="in")
        case.body.update(extensions=["101"], raw=None, ms_config=None, Extensions=None)
        for name in ("start_time", "end_time", "duration", "event_type", "extension", "token"):
            case.body.pop(name, None)
