"""Requests generated from the OpenAPI description."""

NOW = 1_893_456_000
BASE = "http://billing.test"
