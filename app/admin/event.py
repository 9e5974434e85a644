"""The page of one event: its state, what it changed, and its signed body."""

from starlette.requests import Request
from starlette.responses import Response

from ..db.models import WebhookEvent
from . import diff, timeline
from .actions import DONE
from .page import Admin, not_found, parameter
from .stripe_links import dashboard_url
from .timeline import event_entry, raw_body, read_body


async def event_page(admin: Admin, request: Request) -> Response:
    """`/admin/event?id=evt_…`."""
    async with admin.service.database.reading() as session:
        row = await session.get(WebhookEvent, parameter(request, "id"))
        if row is None:
            raise not_found("No event with this id is known here. Processed ones are deleted after a while.")
        parsed = read_body(row)
        if parsed is None or parsed.thin:
            changed = timeline.internal_changes(row)
        elif parsed.previous_attributes:
            changed = diff.of_event(parsed.object, parsed.previous_attributes, None)
        else:
            before = await timeline.snapshot_before(session, row)
            changed = diff.of_event(parsed.object, None, before.object if before else None)
    return admin.render(
        request,
        "event.html",
        row=row,
        entry=event_entry(row, parsed, changed),
        raw=raw_body(row.body),
        stripe=dashboard_url(row.id, row.livemode),
        done=DONE.get(parameter(request, "done")),
    )
