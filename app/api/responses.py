"""How the errors of the routes are documented."""

from typing import Any

from ..web.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]


def problem(status: int, title: str, detail: str, schema: str = "Problem") -> Responses:
    """`schema`: one of `problem_schemas`."""
    example = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return {
        status: {
            "description": title,
            "content": {
                MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
            },
        }
    }


UNAUTHORIZED = problem(401, "Unauthorized", "The key fits none of INTERNAL_API_KEY.")
NOT_FOUND = problem(404, "Not found", "No subscription with this id is known here.")
CONFLICT = problem(409, "Conflict", "Stripe has ended subscription sub_XXX (canceled); nothing was changed.")
DENIED = (
    problem(403, "Limit exceeded", "projects: 1 requested, 10 used, limit 10 (limit_reached).", "Denial")
    | problem(402, "Feature not included", "Paying the open invoice restores access.", "Denial")
    | problem(
        429, "Limit exceeded", "api_calls: 1 requested, 1000 used, limit 1000 (limit_reached).", "Denial"
    )
    | problem(409, "Conflict", "The key was used for an amount of 2.")
)
INVALID = problem(422, "Invalid request", "Nothing was changed. start_date: Input should be a valid integer")
UNAVAILABLE = problem(503, "Service unavailable", "The database does not answer now. Send it again later.")
BODY_REFUSED = problem(408, "Request timeout", "The body was not here after 10 s.") | problem(
    413, "Payload too large", "The body may have 1048576 bytes at most."
)
STRIPE = problem(
    501, "Stripe's API is not configured", "This needs Stripe's API: set STRIPE_API_KEY."
) | problem(502, "Stripe is unavailable", "Stripe cannot be reached now, or asks for a pause.")
PAYMENT_REQUIRED = problem(
    402,
    "Payment required",
    "The payment did not go through: nothing has changed.",
    "PaymentProblem",
)
SUBSCRIBED = problem(409, "Conflict", "The user subscribes already (sub_XXX): send them to the portal.")
OVER = problem(409, "Conflict", "It would be over: projects (10 used, limit 3). Nothing was changed.")
