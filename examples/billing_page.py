"""`GET /billing`: a billing page, rendered on the server from the user's summary."""

from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.service import Running
from app.summary import Summary, read_summary
from app.wording import shown_amount

from .projects import User

# Text is escaped; should that ever be forgotten, no script runs on the page all the same.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' https:",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
router = APIRouter()


@router.get("/billing", response_class=HTMLResponse)
async def billing(user: User, service: Running) -> HTMLResponse:
    return HTMLResponse(render(await read_summary(service, user)), headers=HEADERS)


def render(summary: Summary) -> str:
    return templates.get_template("billing.html").render(summary=summary)


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %B %Y")


def _words(key: str) -> str:
    """A key of the catalogue as a heading: `storage_bytes` as "Storage bytes"."""
    return key.replace("_", " ").capitalize()


def _number(number: int | None) -> str:
    return "unlimited" if number is None else f"{number:,}"


templates.filters |= {"date": _date, "words": _words, "number": _number}
templates.globals["amount"] = shown_amount
