"""Which addresses are of the public internet, held to IANA's registries and to Python's."""

import csv
import random
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from clipfleet_workers.sources.public_addresses import REGISTRY, is_public

with REGISTRY.open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))

# Where Python's `ipaddress`, in one of its versions or all, says otherwise than the registry.
PYTHON_DIFFERS = {
    "192.88.99.0/24": "N/A in the registry, global to Python",
    "64:ff9b:1::/48": "global to Python before 3.12.4",
    "100:0:0:1::/64": "of 2025: Python does not know it",
    "2001:1::1/128": "reachable, within 2001::/23, which is not: exceptions are of Python 3.12.4",
    "2001:1::2/128": "likewise",
    "2001:1::3/128": "likewise, and of 2025",
    "2001:3::/32": "likewise",
    "2001:4:112::/48": "likewise",
    "2001:20::/28": "likewise",
    "2001:30::/28": "likewise",
    "2001::/32": "N/A in the registry: Teredo, judged by the IPv4 addresses within",
    "2001:10::/28": "N/A in the registry, not global to Python",
    "2002::/16": "N/A in the registry: 6to4, judged by the IPv4 address within",
    "3fff::/20": "of 2024: known to Python 3.14",
    "5f00::/16": "of 2024: Python does not know it",
    "224.0.0.0/4": "multicast is global to Python",
    "ff00::/8": "multicast is global to Python",
    "fec0::/10": "site-local is global to Python",
    "168.63.129.16/32": "no registry's: a cloud's services, on a public address",
}
STANDING_FOR_IPV4 = ("::ffff:0:0/96", "64:ff9b::/96", "2001::/32", "2002::/16")


def edges(block: str) -> list[str]:
    found = ip_network(block)
    return [str(found.network_address), str(found.broadcast_address)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["block"])
def test_the_registry_says_what_python_does_or_the_difference_is_named(
    row: dict[str, str],
) -> None:
    python = "yes" if ip_network(row["block"]).network_address.is_global else "no"

    assert row["globally_reachable"] == python or row["block"] in PYTHON_DIFFERS


def test_every_named_difference_is_of_a_block_that_there_is() -> None:
    assert PYTHON_DIFFERS.keys() <= {row["block"] for row in ROWS}


@pytest.mark.parametrize(
    "block", [row["block"] for row in ROWS if row["block"] not in STANDING_FOR_IPV4]
)
def test_no_special_block_is_public_from_its_first_address_to_its_last(block: str) -> None:
    assert not any(is_public(address) for address in edges(block))


def test_what_is_public_is_global_to_python_too() -> None:
    chance = random.Random(0)
    drawn = [ip_address(chance.getrandbits(32)) for _ in range(2_000)]
    drawn += [ip_address(chance.getrandbits(128)) for _ in range(500)]
    drawn += [ip_address(1 << 125 | chance.getrandbits(125)) for _ in range(500)]

    public = [each for each in drawn if is_public(str(each))]

    assert len(public) > 1_500
    assert [each for each in public if not each.is_global] == []


def test_no_ipv6_outside_the_global_unicast_space_is_public() -> None:
    chance = random.Random(0)
    spaces = [IPv6Network(((first << 120), 8)) for first in range(256) if not 0x20 <= first < 0x40]
    drawn = [each[chance.getrandbits(120)] for each in spaces]

    assert [str(each) for each in drawn if is_public(str(each))] == []


@pytest.mark.parametrize(
    "form",
    [
        "::ffff:{ipv4}",  # mapped
        "64:ff9b::{ipv4}",  # NAT64
        "2002:{hex}::1",  # 6to4
        "2001:0:{hex}::f7f7:f7f7",  # Teredo: a server, and a client of 8.8.8.8
        "2001:0:808:808::{inverted}",  # and the other way round
        "2001:470::5efe:{ipv4}",  # ISATAP
        "2001:470::200:5efe:{ipv4}",
    ],
)
def test_an_address_within_an_address_is_judged_as_such(form: str) -> None:
    def written(ipv4: str) -> str:
        bits = int(ip_address(ipv4))
        pair, inverted = divmod(bits, 1 << 16), divmod(bits ^ 0xFFFFFFFF, 1 << 16)
        return form.format(
            ipv4=ipv4, hex="{:x}:{:x}".format(*pair), inverted="{:x}:{:x}".format(*inverted)
        )

    assert is_public(written("8.8.8.8"))
    private = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "224.0.0.1"]
    assert [ipv4 for ipv4 in private if is_public(written(ipv4))] == []


@pytest.mark.parametrize("form", ["::{}", "::ffff:0:{}", "64:ff9b:1::{}", "fec0::{}", "fe80::{}"])
def test_what_no_router_of_the_internet_carries_is_not_public_whatever_is_within(
    form: str,
) -> None:
    assert not is_public(form.format("8.8.8.8"))
    assert not is_public(form.format("127.0.0.1"))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("2a00:1450::1", True),
        ("100.64.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("168.63.129.16", False),
        ("168.63.129.17", True),
    ],
)
def test_only_addresses_of_the_public_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_the_registry_names_each_block_once_and_well() -> None:
    blocks = [ip_network(row["block"]) for row in ROWS]  # raises where bits are set beyond it

    assert len(set(blocks)) == len(blocks)
    assert {type(each) for each in blocks} == {IPv4Network, IPv6Network}
