"""The schemas of errors in the OpenAPI description: problem+json (RFC 9457), some with more members."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from .limits import DecisionMembers


class FieldError(BaseModel):
    """A field of a request that is wrong."""

    field: str = Field(examples=["amount"])
    message: str = Field(examples=["Input should be greater than or equal to 0"])


class Problem(BaseModel):
    """An error. Nothing was changed, unless the detail says otherwise."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not found"])
    status: int = Field(description="The HTTP status", examples=[404])
    detail: str = Field(description="What is wrong, and what to do", examples=["No such subscription."])
    errors: list[FieldError] = Field(default=[], description="With 422: each field that is wrong")


class Denial(Problem, DecisionMembers):
    """A denial: an error with the members of the decision."""

    subscription_status: str | None = Field(
        description="Stripe's status of the subscription", examples=["active"]
    )


class PaymentProblem(Problem):
    """A payment that did not go through: what was asked for holds once it is paid."""

    pay_url: str | None = Field(default=None, description="Stripe's page to pay the invoice")
    invoice_id: str | None = Field(default=None, examples=["in_XXX"])
    expires_at: int | None = Field(
        default=None, description="When the change is dropped if it is not paid, in Unix seconds"
    )


def add_problem_schemas(description: dict[str, Any]) -> None:
    """Put the schemas that the errors refer to into an OpenAPI description."""
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for model in (Problem, Denial, PaymentProblem):
        own = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, schema in own.pop("$defs", {}).items():
            schemas.setdefault(name, schema)
        schemas[model.__name__] = own
