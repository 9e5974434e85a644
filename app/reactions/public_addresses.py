"""Connections to public addresses alone: no request leads into the network that the service is in.

The name is resolved once. Every address that it has is checked, and the connection goes to one of those that
were checked: a name that answers differently the next time (DNS rebinding) changes nothing.
"""

import asyncio
import ipaddress
import socket
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import httpcore

from ..errors import ServiceError

NAT64 = ipaddress.ip_network("64:ff9b::/96")
LOOKUPS_AT_ONCE = 4
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateAddress(ServiceError):
    """A name leads to an address that is not public."""

    title = "Private address"


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet, and so is any IPv4 address that it contains."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return all(each.is_global and not each.is_multicast for each in (address, *_contained(address)))


def _contained(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses to which an IPv6 address may lead: mapped, compatible, NAT64, 6to4 or Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    last = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64 or int(address) >> 32 == 0:
        found.append(last)
    return [each for each in found if each is not None]


async def resolve(
    host: str, port: int, *, allow_private: bool = False, threads: Executor | None = None
) -> list[str]:
    """The addresses of a host, in the order in which to try them. A lookup takes one of `threads` for as
    long as the name server likes.

    Raises:
        PrivateAddress: when one of them is not public, unless `allow_private`.
        OSError: when the name has none.
    """
    find = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(threads, find)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not allow_private and not all(is_public(address) for address in addresses):
        raise PrivateAddress(
            f"{host} has an address that is not public, so nothing is sent there: set "
            "WEBHOOK_OUT_ALLOW_PRIVATE=true where the receiver is in your own network."
        )
    return addresses


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that `resolve` allows."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._backend = httpcore.AnyIOBackend()
        # Of its own: lookups that hang must not take the threads that others wait for.
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="webhook lookup")

    async def connect_tcp(
        self, host: str, port: int, *arguments: Any, **options: Any
    ) -> httpcore.AsyncNetworkStream:
        """
        Raises:
            PrivateAddress: before anything is sent.
        """
        addresses = await resolve(host, port, allow_private=self._allow_private, threads=self._threads)
        for address in addresses[:-1]:
            try:
                return await self._backend.connect_tcp(address, port, *arguments, **options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # the next one may be reached
        return await self._backend.connect_tcp(addresses[-1], port, *arguments, **options)

    def close(self) -> None:
        """Let the threads go; a lookup that is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
