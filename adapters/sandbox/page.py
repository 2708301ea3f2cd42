"""The page a person watches: one static HTML file with its script and style, under a strict content policy."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FILES = {
    "/": ("index.html", "text/html"),
    "/static/sandbox.js": ("sandbox.js", "text/javascript"),
    "/static/click.js": ("click.js", "text/javascript"),
    "/static/sandbox.css": ("sandbox.css", "text/css"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}


async def serve_file(request: web.Request) -> web.Response:
    """One of the page's files."""
    name, media = _FILES[request.path]
    return web.Response(
        body=(STATIC / name).read_bytes(),
        content_type=media,
        charset="utf-8",
        headers={
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        },
    )


def page_routes() -> list[web.RouteDef]:
    """The page and its files."""
    return [web.get(path, serve_file) for path in _FILES]
