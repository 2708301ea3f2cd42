"""The pages' files and the headers that fence every answer in."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from adapters.http.app import build_app
from adapters.http.guard import Guard
from adapters.http.pages import HEADERS, PAGES, POLICY, STATIC
from adapters.http.services import Holder
from core.lifecycle import LIVE, Phase

ROOT = Path(__file__).parents[3]
STRICT = Guard([ip_network("127.0.0.0/8")], "inside", "admin")
OURS = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.parts)


@pytest.fixture
async def http() -> Any:
    """The routes of a service that has no parts yet: its pages' files are there all the same."""
    async with TestClient(TestServer(build_app(Holder(), STRICT))) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/docs", "/ms-admin/login", "/ms-admin/static/base.css", "/nothing", "/ms-admin/", "/metrics", "/ms-admin/api/me"],
)
async def test_every_answer_is_fenced_in(http: Any, path: str) -> None:
    async with http.get(path, headers={"Origin": "https://elsewhere.example"}, allow_redirects=False) as answer:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "Cache-Control" in answer.headers
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert "Strict-Transport-Security" not in answer.headers


def test_the_policy_lets_no_script_in_but_ours() -> None:
    rules = dict(each.strip().split(" ", 1) for each in POLICY.split(";"))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_every_read_model_has_a_name_for_people() -> None:
    told = [file.read_text(encoding="utf-8") for file in (ROOT / "projections").glob("*.py")]
    models = {found for text in told for found in re.findall(r'^    name = "(\w+)"', text, re.MULTILINE)}
    assert {"calls", "clicks"} <= models
    (words,) = re.findall(r"^const FOLLOWERS = \{(.*)\};$", (STATIC / "status.js").read_text(encoding="utf-8"), re.MULTILINE)
    assert models - set(re.findall(r"(\w+): ", words)) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
async def test_shells_hold_no_inline_script_and_no_data(http: Any, page: Any) -> None:
    assert (STATIC / page.script).is_file()
    assert not page.style or (STATIC / page.style).is_file()
    headers = {"Authorization": "Bearer admin"}
    async with http.get(page.path.format(enterprise="0367", call="1.1"), headers=headers) as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type, answer.charset) == (200, "text/html", "utf-8")
    assert re.findall(r"<script(?![^>]* src=)|<style| on\w+=| style=|javascript:|https?://", text) == []
    assert f"<title>{page.title}" in text


async def test_files_come_from_a_fixed_list(http: Any) -> None:
    for path in STATIC.rglob("*"):
        if path.suffix in (".js", ".css", ".png", ".ico"):
            async with http.get(f"/ms-admin/static/{path.relative_to(STATIC).as_posix()}") as answer:
                assert (answer.status, await answer.read()) == (200, path.read_bytes())
    for odd in (
        "../app.py", "..%2fapp.py", "%2e%2e/app.py", "..%5capp.py", "vendor/../../app.py", "/etc/passwd", "vendor/", "",
        "base.css/", "base.css%00", "BASE.CSS", "vendor/README.md", "vendor%2fpreact.js%2f..",
    ):  # fmt: skip
        async with http.get(f"/ms-admin/static/{odd}") as answer:
            assert answer.status in (400, 401, 404), odd
            assert b"import" not in await answer.read()


async def test_a_file_that_is_known_is_not_sent_again(http: Any) -> None:
    async with http.get("/ms-admin/static/lib.js") as answer:
        etag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "no-cache"
    async with http.get("/ms-admin/static/lib.js", headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with http.get("/ms-admin/static/lib.js", headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/", "/ms-admin/"),
        ("/ms", "/ms-admin/"),
        ("/ms/", "/ms-admin/"),
        ("/ms/?enterprise_number=0367", "/ms-admin/?enterprise_number=0367"),
        ("/ms/?enterprise_number=//evil.example/%0d%0aSet:a", "/ms-admin/?enterprise_number=//evil.example/%0D%0ASet:a"),
    ],
)
async def test_short_ways_lead_to_the_pages(http: Any, path: str, where: str) -> None:
    async with http.get(path, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, where)
        assert "Set-Cookie" not in answer.headers


async def test_pictures_are_our_own(http: Any) -> None:
    icon = "image/vnd.microsoft.icon"
    for path, media, magic in (("/ms.png", "image/png", b"\x89PNG"), ("/ms-admin/favicon.ico", icon, b"\0\0\1\0")):
        async with http.get(path) as answer:
            assert (answer.status, answer.content_type) == (200, media)
            assert (await answer.read()).startswith(magic)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_modules_make_no_markup_out_of_text_and_ask_no_other_host(path: Path) -> None:
    text = path.read_text()
    markup = r"dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert re.findall(rf"{markup}|https?://(?!api\.moysklad\.ru)", text) == []
    assert len(text.splitlines()) <= 300
    for module in re.findall(r'from "([^"]+)"', text):
        assert (path.parent / module).is_file(), module


@pytest.mark.parametrize(
    ("path", "accept", "status", "media"),
    [
        ("/nothing", "text/html,*/*", 404, "text/html"),
        ("/nothing", "*/*", 404, "application/json"),
        ("/ms-admin/nothing", "text/html,*/*", 303, None),  # to the log-in, and then it is said
        ("/ms-admin/nothing", "*/*", 401, "application/json"),
        ("/ms-admin/api/nothing", "text/html,*/*", 401, "application/json"),
        ("/internal/nothing", "text/html,*/*", 403, "application/json"),
    ],
)
async def test_what_there_is_not_is_told_to_a_person_as_a_page(
    http: Any, path: str, accept: str, status: int, media: str | None
) -> None:
    headers = {"Accept": accept, "Origin": "https://elsewhere.example"}
    async with http.get(path, headers=headers, allow_redirects=False) as answer:
        assert answer.status == status
        assert media is None or answer.content_type == media
        assert media != "text/html" or not re.search(r"<script|style=|\son\w+=", await answer.text())


def test_the_pages_have_a_word_for_every_phase_and_the_board_a_place_for_every_live_one() -> None:
    words = (STATIC / "calls-words.js").read_text()
    told = re.search(r"export const PHASES = \{(.+?)\n\};", words, re.DOTALL)
    assert told is not None
    assert set(re.findall(r"(\w+): \[", told[1])) == {phase.value for phase in Phase}
    order = re.search(r"const ORDER = \{(.+?)\}", (STATIC / "live.js").read_text())
    assert order is not None
    assert set(re.findall(r"(\w+):", order[1])) == {phase.value for phase in LIVE}
