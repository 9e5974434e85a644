"""Uploads that count by their real size: what a file may need is reserved while it streams in.

What arrived is committed in the transaction that stores the file's row. An upload that is aborted, too large
or refused releases everything. `UPLOADS_DIR` names the folder of the files.
"""

import asyncio
import os
import uuid
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.requests import ClientDisconnect

from app import limits
from app.service import Running

from .projects import StoredFile, User

MAX_SECONDS = 3600
"""How long an upload may take. A process that is killed meanwhile holds nothing longer than that."""
MEBIBYTE = 2**20
router = APIRouter()


async def most_bytes(user: User, request: Request) -> int:
    """How many bytes the upload may have: what it announces, else what the plan and the space allow."""
    entitlements = await limits.load(user)
    value = entitlements.value("max_upload_mb")
    allowed = value * MEBIBYTE if isinstance(value, int) else 0
    if announced := request.headers.get("content-length"):
        if int(announced) > allowed:
            raise HTTPException(413, f"A file may have {allowed} bytes on this plan.")
        return int(announced)
    left = entitlements.look("storage_bytes").remaining
    return allowed if left is None else min(allowed, left)


@router.post("/uploads", status_code=201)
async def upload(
    name: str, user: User, request: Request, service: Running, most: Annotated[int, Depends(most_bytes)]
) -> dict[str, Any]:
    """Take the body of the request as a file."""
    path = Path(os.environ.get("UPLOADS_DIR", "var/uploads")) / uuid.uuid4().hex
    file = StoredFile(owner=user, name=name, size=0, path=str(path))
    try:
        async with limits.reserve(user, "storage_bytes", max(most, 1), ttl=MAX_SECONDS) as hold:
            file.size = await receive(request, path, most)
            async with service.database.session() as session:
                session.add(file)
                decision = await hold.commit(file.size, session)  # with the row, or not at all
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, ClientDisconnect):
            raise HTTPException(400, "The upload was aborted.") from None
        raise
    return {"id": file.id, "size": file.size, "left": decision.remaining}


async def receive(request: Request, path: Path, most: int) -> int:
    """Write the body to the file as it comes; how many bytes came."""
    size = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise HTTPException(413, f"The file has more than {most} bytes.")
            await asyncio.to_thread(file.write, chunk)
    return size
