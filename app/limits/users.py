"""The key of a user: what application code may pass where a limit is asked for."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from ..errors import ConfigurationError, InvalidRequest

User = Any
"""A `str`, `int` or `UUID`; or an object of the application's own, once `identify_users_by` was called."""

_key_of: Callable[[Any], str | int | UUID] | None = None


def identify_users_by(key: Callable[[Any], str | int | UUID] | None) -> None:
    """Say once, at the start, what the key of the application's own user objects is.

        limits.identify_users_by(lambda user: user.id)

    None takes it back.
    """
    global _key_of
    _key_of = key


def user_key(user: User) -> str:
    """The user's id as text, which is how it is stored.

    Raises:
        ConfigurationError: for an object while no key function is given.
        InvalidRequest: for what cannot be a user: None, a bool, or such a key.
    """
    key = user
    if not isinstance(user, str | int | UUID) and user is not None:
        if _key_of is None:
            raise ConfigurationError(
                f"A user was passed as a {type(user).__name__}, and nothing says what its id is. Call "
                "limits.identify_users_by(lambda user: user.id) once at the start, or pass the id itself."
            )
        key = _key_of(user)
    if isinstance(key, bool) or not isinstance(key, str | int | UUID):
        raise InvalidRequest(f"A user's id must be a text, a number or a UUID, not {key!r}.")
    return str(key)
