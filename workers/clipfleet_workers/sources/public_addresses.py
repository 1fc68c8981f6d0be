"""Which addresses are of the public internet, by IANA's registries, the last word on it.

`special_addresses.csv` holds the IPv4 and the IPv6 Special-Purpose Address Registry, up to RFC 9780
(2025). Its last column is theirs ("Globally Reachable"; "none" where they say N/A), or says where
else a block comes from: "space", IANA's list of whole address spaces; "vendor", a cloud's own. No
block in it is where clips lie: those that can be reached from anywhere are services of the network
one is in. Of IPv6 IANA has handed out 2000::/3 alone; the rest is refused, whatever it will become.
"""

import csv
import functools
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

REGISTRY = Path(__file__).with_name("special_addresses.csv")

_UNICAST = IPv6Network("2000::/3")
# Addresses that only stand for the IPv4 address within, in which lies how far they lead.
_TEREDO = IPv6Network("2001::/32")
_6TO4 = IPv6Network("2002::/16")
_STANDING_FOR_IPV4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"), _6TO4, _TEREDO)
# Half an address (RFC 5214) that names an IPv4 address, with or without its "universal" bit.
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_public(address: str) -> bool:
    """Whether a clip may lie there: in no special block, nor an IPv4 address in it that is."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv4Address):
        return not _is_special(found)
    if not all(is_public(str(each)) for each in _ipv4_within(found)):
        return False
    if any(found in block for block in _STANDING_FOR_IPV4):
        return True
    return found in _UNICAST and not _is_special(found)


def _ipv4_within(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an address leads to, or through."""
    bits = int(address)
    if address in _6TO4:
        yield IPv4Address(bits >> 80 & 0xFFFFFFFF)
    elif address in _TEREDO:  # its server's, and its own, turned over
        yield IPv4Address(bits >> 64 & 0xFFFFFFFF)
        yield IPv4Address(~bits & 0xFFFFFFFF)
    elif any(address in block for block in _STANDING_FOR_IPV4):
        yield IPv4Address(bits & 0xFFFFFFFF)
    if bits >> 32 & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(bits & 0xFFFFFFFF)


def _is_special(address: IPv4Address | IPv6Address) -> bool:
    return any(address in block for block in _special_blocks())


@functools.cache
def _special_blocks() -> tuple[IPv4Network | IPv6Network, ...]:
    with REGISTRY.open(encoding="utf-8", newline="") as file:
        return tuple(ip_network(row["block"]) for row in csv.DictReader(file))
