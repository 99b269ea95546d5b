"""The proxies that the environment names, and their passwords, which must never be shown."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import requests
import urllib3

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
# Parts of a password that an address which cannot be read may show by themselves have at least so many characters.
_SHORTEST_PART = 4


def secrets() -> tuple[str, ...]:
    """Return every text of the proxies' addresses that must never be shown."""
    named = (address for name, address in urllib.request.getproxies().items() if name != "no")
    return tuple(dict.fromkeys(text for address in named for text in _secrets(address)))


def _secrets(address: str) -> list[str]:
    # Everything before the last @, whatever stands in it: a password may hold what ends an address for a parser.
    login = address.partition("://")[2] or address
    login, at, _ = login.rpartition("@")
    if not at:
        return []
    password = login.partition(":")[2]
    found = [login, unquote(login), password, unquote(password)]
    # An address that is parsed at a # or / of its password shows a part of it.
    found += [part for part in re.split(r"[^\w.~!$&*+-]", password) if len(part) >= _SHORTEST_PART]
    return [text for text in found if text]


def is_usable(url: str, proxies: Mapping[str, str]) -> bool:
    """Return False if calls of a URL go through a proxy whose address cannot be read.

    Args:
        url: the URL.
        proxies: the proxies of the environment, by scheme.
    """
    address = requests.utils.select_proxy(url, proxies)
    if not address:
        return True
    try:
        # In every way in which the libraries read it during a call.
        whole: str = requests.utils.prepend_scheme_if_needed(address, "http")  # type: ignore[no-untyped-call]
        parsed = urllib3.util.parse_url(whole)
        urlsplit(address), urlsplit(whole)
    except (ValueError, TypeError, urllib3.exceptions.HTTPError):
        return False
    # An @ behind the host was meant to stand before it.
    behind = f"{parsed.path or ''}{parsed.query or ''}{parsed.fragment or ''}"
    return bool(parsed.host) and parsed.scheme in _SCHEMES and "@" not in behind
