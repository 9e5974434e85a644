"""A Flask application beside the service, by HTTP: `flask --app examples.flask_client run`.

`BILLING_URL` and `BILLING_API_KEY` name the service and a key of its INTERNAL_API_KEY. In Django only the
routes and the answer of a denial differ. The service cannot see this application's transaction, so each use
has an idempotency key, and what fails afterwards is released.
"""

import os
import uuid
from typing import Any

import httpx
from flask import Flask, Response, request

app = Flask(__name__)
projects: dict[str, tuple[str, str]] = {}
"""Owner and name by id: stands for this application's own database."""
billing = httpx.Client(
    base_url=os.environ.get("BILLING_URL", "http://127.0.0.1:8000"),
    headers={"X-API-Key": os.environ.get("BILLING_API_KEY", "")},
    timeout=30,
)


class Denied(Exception):
    """The service's problem+json: shown to the user as it is."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer


@app.errorhandler(Denied)
def show_denial(denied: Denied) -> Response:
    return Response(denied.answer.content, denied.answer.status_code, mimetype="application/problem+json")


def change_usage(user: str, feature: str, key: str, **change: Any) -> dict[str, Any]:
    """Sent again after an answer that was lost, the same key changes nothing more.

    Raises:
        Denied: the limit does not allow it, or the request is wrong.
    """
    path, headers = f"/internal/users/{user}/usage/{feature}", {"Idempotency-Key": key}
    try:
        answer = billing.post(path, json=change, headers=headers)
    except httpx.TransportError:
        answer = billing.post(path, json=change, headers=headers)
    if answer.is_client_error:
        raise Denied(answer)
    answer.raise_for_status()
    decision: dict[str, Any] = answer.json()
    return decision


@app.post("/projects")
def create_project() -> tuple[dict[str, Any], int]:
    user, name, id = request.headers["X-User"], request.args["name"], uuid.uuid4().hex
    decision = change_usage(user, "projects", key=f"create:{id}", op="consume")
    try:
        store(id, user, name)
    except Exception:
        change_usage(user, "projects", key=f"undo:{id}", op="release")
        raise
    return {"id": id, "left": decision["remaining"]}, 201


@app.delete("/projects/<id>")
def delete_project(id: str) -> tuple[str, int]:
    user = request.headers["X-User"]
    if projects.get(id, ("", ""))[0] == user:
        # Before the deletion: if that fails, the request is sent again, and the key releases once.
        change_usage(user, "projects", key=f"delete:{id}", op="release")
        projects.pop(id, None)
    return "", 204


def store(id: str, user: str, name: str) -> None:
    if not name:
        raise ValueError("A project needs a name.")
    projects[id] = (user, name)
