"""How this machine reaches an endpoint: one session with its connections, certificates and proxies."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi

_CONNECT_TIMEOUT = 10.0
_IDLE = 4.0
"""Seconds that an unused connection is kept: uvicorn, which vLLM runs on, closes it after 5, and a call that meets the
close is lost."""


class CannotConnect(ValueError):
    """What the environment says about the way to an endpoint cannot be followed."""


def session(base_url: str, headers: Mapping[str, str], timeout_s: float) -> aiohttp.ClientSession:
    """A session for calls to one endpoint; must be made inside of a running event loop.

    It opens a connection for every call under way and keeps it for the next one, follows no cookies, and bounds the
    time to connect only: the time of a call is its caller's to bound as a whole, as an endpoint may send blanks to
    keep a connection alive.

    Raises:
        CannotConnect: the proxy that the environment names is none that can be used.
    """
    encrypted = urlsplit(base_url).scheme == "https"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,  # who calls keeps to its slots
            ssl=_trusted() if encrypted else True,
            keepalive_timeout=_IDLE,
            resolver=aiohttp.ThreadedResolver(),
        ),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(_CONNECT_TIMEOUT, timeout_s)),
        # With trust_env the environment and ~/.netrc would be read again for every call, in a thread.
        proxy=proxy(base_url),
    )


def proxy(base_url: str) -> str | None:
    """The proxy that the environment names for an address: ``http_proxy``, ``https_proxy``, ``all_proxy``.

    Raises:
        CannotConnect: it is no HTTP proxy.
    """
    parts = urlsplit(base_url)
    known = getproxies()
    found = known.get(parts.scheme) or known.get("all")
    if not found or proxy_bypass(parts.netloc):
        return None
    found = found if "://" in found else f"http://{found}"
    scheme = urlsplit(found).scheme
    if scheme not in ("http", "https"):
        raise CannotConnect(
            f"the environment names a {scheme} proxy for {base_url}, and only HTTP proxies are known; set "
            f"{parts.scheme}_proxy to one, or name {parts.hostname} in no_proxy"
        )
    return found


def _trusted() -> ssl.SSLContext:
    """Certificates of the authorities that Mozilla trusts, or of those that the environment names instead."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return ssl.create_default_context(cafile=file or (None if folder else certifi.where()), capath=folder)


def told(error: BaseException) -> str:
    """What went wrong with a call, in the words of the operating system where it was a connection."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    return str(error)
