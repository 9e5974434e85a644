"""`GET /` of a process of our own: links to what this installation serves. HTML for browsers, else JSON."""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .. import __version__
from ..config import Settings

NAME = "Subscription service"
PAGE = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<body style="font-family: system-ui, sans-serif; margin: 2rem; line-height: 1.6">
<h1>{name} {version}</h1><ul>{links}</ul></body></html>
"""


def home(settings: Settings) -> Route:
    """The route. It needs no key and names no setting's value."""
    links = {
        "admin screen": "/admin/" if settings.admin_username else None,
        "API documentation": "/docs" if settings.api_docs else None,
        "readiness": "/readyz",
        "health": "/healthz",
        "metrics (with a key)": "/metrics",
    }
    shown = {text: path for text, path in links.items() if path is not None}

    async def answer(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"service": NAME, "version": __version__, "links": shown})
        items = "".join(f'<li><a href="{path}">{escape(text)}</a></li>' for text, path in shown.items())
        return HTMLResponse(PAGE.format(name=NAME, version=__version__, links=items))

    return Route("/", answer, methods=["GET"], include_in_schema=False)
