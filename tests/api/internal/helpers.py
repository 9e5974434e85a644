"""Updates and links over the internal API."""

START = 1_893_456_000


ROUTES = [
    ("POST", "/internal/subscription/update"),
    ("GET", "/internal/subscriptions/sub_1"),
    ("GET", "/internal/customers"),
    ("GET", "/internal/customers/cus_1"),
    ("PUT", "/internal/customers/cus_1"),
    ("GET", "/internal/users/user_1"),
    ("GET", "/internal/events"),
    ("GET", "/internal/events/evt_1"),
]
