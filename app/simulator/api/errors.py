"""Stripe's error envelope."""

from ..shapes import Json

DOCS = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """An answer other than 200: `status` is HTTP's, the rest as Stripe's `error` object has it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        decline_code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.type = status, message, type
        self.code, self.param, self.headers = code, param, headers or {}
        self.decline_code = decline_code

    def body(self) -> Json:
        """`code`, `doc_url` and `param` only where there is one, as Stripe does."""
        error: Json = {"code": self.code, "message": self.message, "param": self.param, "type": self.type}
        error["decline_code"] = self.decline_code
        if self.code is not None:
            error["doc_url"] = DOCS + self.code.replace("_", "-")
        return {"error": {name: value for name, value in sorted(error.items()) if value is not None}}


def no_such(noun: str, id: str, *, param: str = "id", status: int = 404, elsewhere: str = "") -> ApiError:
    """404 for an id in the path, 400 for one in a parameter; `elsewhere` names the mode that has it."""
    hint = ""
    if elsewhere:
        used = "live" if elsewhere == "test" else "test"
        hint = f"; a similar object exists in {elsewhere} mode, but a {used} mode key was used to make this "
        hint += "request."
    return ApiError(status, f"No such {noun}: '{id}'{hint}", code="resource_missing", param=param)


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, message, code=code, param=param)


def missing(param: str) -> ApiError:
    return invalid(f"Missing required param: {param}.", param, "parameter_missing")


def not_played(param: str) -> ApiError:
    """400 for a parameter that Stripe has and the simulator does not: no misspelling."""
    return ApiError(
        400,
        f"The simulator does not play the parameter {param}, which Stripe knows. Leave it out here.",
        code="simulator_parameter_not_played",
        param=param,
    )


def declined(code: str, param: str | None = None) -> ApiError:
    """402, as for a card that its bank refuses ("Decline codes")."""
    if code == "expired_card":
        return ApiError(
            402, "Your card has expired.", type="card_error", code="expired_card", param="exp_month"
        )
    reason = "has insufficient funds" if code == "insufficient_funds" else "was declined"
    if code == "authentication_required":
        reason = "was declined. This transaction requires authentication"
    return ApiError(
        402,
        f"Your card {reason}.",
        type="card_error",
        code="card_declined",
        param=param,
        decline_code=code,
    )
