"""What PostgreSQL's errors mean for somebody who has to repair it."""

import socket
import ssl

import asyncpg

from .. import COMMAND


class CannotConnect(ConnectionError):
    """No connection could be made; the cause says why."""


Kind = type[BaseException] | tuple[type[BaseException], ...]
REASONS: tuple[tuple[Kind, str], ...] = (
    (
        asyncpg.ReadOnlySQLTransactionError,
        "The database is read-only, as a standby is, or a primary after failover: point DATABASE_URL at the "
        "primary; with several hosts in it, ?target_session_attrs=read-write finds that.",
    ),
    (
        asyncpg.DiskFullError,
        "The disk of the database server is full: free space where its data directory is.",
    ),
    (
        asyncpg.TooManyConnectionsError,
        "The database server has no connection free: raise its max_connections, or put pgbouncer before it.",
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "The user of DATABASE_URL may not write the service's tables: grant it the rights of their owner.",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "The database that DATABASE_URL names does not exist: create it, or correct the name.",
    ),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "The database refuses the user or the password of DATABASE_URL: correct them.",
    ),
    (
        socket.gaierror,
        "The host of DATABASE_URL is not known: correct the name, or look at this machine's DNS.",
    ),
    (
        ConnectionRefusedError,
        "The database refuses connections: start it, or correct host and port in DATABASE_URL.",
    ),
    (
        (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError),
        f"The database lacks a migration: run `{COMMAND} migrate` with the same DATABASE_URL.",
    ),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "No host of DATABASE_URL is what its target_session_attrs asks for, as while no standby is promoted "
        "after a failover: promote one, or correct the hosts.",
    ),
    (
        ssl.SSLCertVerificationError,
        "The certificate of the database server is not valid for DATABASE_URL: renew it, or correct host, "
        "sslmode and sslrootcert.",
    ),
    (
        asyncpg.LockNotAvailableError,
        "The database is held by a lock, as of a migration: look at pg_stat_activity for who holds it.",
    ),
)


def why_not_writable(error: BaseException) -> str:
    """The cause, a colon, and the remedy."""
    if isinstance(error, CannotConnect) and error.__cause__ is not None:
        error = error.__cause__
    for kind, reason in REASONS:
        if isinstance(error, kind):
            return reason
    return (
        f"The database does not answer ({type(error).__name__}): check that it runs, and that DATABASE_URL "
        "names it with the right host, user and password."
    )
