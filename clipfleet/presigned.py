"""Presigned URLs: what of an https address is a signature, and so no part of which clip it names.

A signature lets whoever has it read the clip until it expires, and the next one is another. So a
clip is known, recorded and spoken of by its address without it. Every other parameter, `versionId`
and `response-content-type` among them, is the clip's own and stays as it is, byte for byte.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

_HIDDEN = "…"
_URL = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)
# A query without any of these has no family's names; looking for all takes twenty times as long.
_MAY_BE = re.compile(r"sig|authorization|hdn|__token__|__gda__|%2d|%[4-7]", re.IGNORECASE)
# What is named like this is not shown, whoever made it up.
_SECRET = re.compile(
    r"(?P<name>[?&;](?:[^=&?;\s]{0,64}(?:(?<!de)sign(?!al)|token|secret|passw|pwd|auth(?!or(?!iz))|credential|jwt|hdn)"
    r"[^=&?;\s]{0,64}|sig|policy|[^=&?;\s]{0,64}key(?:[-_]?(?:pair)?[-_]?id)?|googleaccessid|__gda__)=)[^&\s\"'<>]+",
    re.IGNORECASE,
)

_CLOUDFRONT_BASE64 = str.maketrans("-_~", "+=/")

Expiry = Callable[[dict[str, str]], datetime]


def _at(name: str) -> Expiry:
    return lambda values: datetime.fromtimestamp(int(values[name]), UTC)


def _after(date: str, seconds: str) -> Expiry:
    def expiry(values: dict[str, str]) -> datetime:
        begin = datetime.strptime(values[date], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return begin + timedelta(seconds=int(values[seconds]))

    return expiry


def _azure(values: dict[str, str]) -> datetime:
    found = datetime.fromisoformat(values["se"])
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _tencent(values: dict[str, str]) -> datetime:
    return datetime.fromtimestamp(int(values["q-sign-time"].partition(";")[2]), UTC)


def _cloudfront(values: dict[str, str]) -> datetime:
    if "Expires" in values:
        return datetime.fromtimestamp(int(values["Expires"]), UTC)
    policy = json.loads(b64decode(values["Policy"].translate(_CLOUDFRONT_BASE64)))
    (statement,) = policy["Statement"]
    return datetime.fromtimestamp(statement["Condition"]["DateLessThan"]["AWS:EpochTime"], UTC)


def _akamai(name: str) -> Expiry:
    def expiry(values: dict[str, str]) -> datetime:
        found = re.search(r"(?:^|~)exp=(\d+)", values[name])
        return datetime.fromtimestamp(int(found[1] if found else ""), UTC)

    return expiry


def _none(values: dict[str, str]) -> datetime:
    raise ValueError("its expiry is not written as a parameter of its own")


@dataclass(frozen=True)
class _Family:
    """One way to sign: by parameters of which all of `needs` are there, and one of `one_of` if any.

    With `any_case` letter case does not matter. That is for families whose names say whose they
    are: elsewhere `Expires` and `sig` are ordinary words.
    """

    needs: frozenset[str]
    also: frozenset[str] = frozenset()
    one_of: frozenset[str] = frozenset()
    any_case: bool = False
    expiry: Expiry = _none

    def names_in(self, names: dict[str, str]) -> set[str]:
        """The names that belong to this family's signature; none where it did not sign.

        `names` gives each name in lower case as well.
        """
        there = set(names.values() if self.any_case else names)
        if not self.needs <= there or (self.one_of and not self.one_of & there):
            return set()
        ours = self.needs | self.also | self.one_of
        return {name for name, small in names.items() if (small if self.any_case else name) in ours}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _version_4(prefix: str, also: str = "") -> _Family:
    """Amazon's version 4 and those made after it."""
    own = "algorithm credential date expires signedheaders security-token content-sha256"
    return _Family(
        needs=frozenset({f"{prefix}signature"}),
        also=frozenset(f"{prefix}{name}" for name in f"{own} {also}".split()),
        any_case=True,
        expiry=_after(f"{prefix}date", f"{prefix}expires"),
    )


def _version_2(key_id: str, also: str = "") -> _Family:
    """Amazon's version 2 and those made after it."""
    needs = frozenset({key_id, "Signature", "Expires"})
    return _Family(needs=needs, also=_words(also), expiry=_at("Expires"))


_FAMILIES = (
    # Amazon S3, and Ceph, MinIO, R2, Wasabi and others that speak its language.
    _version_4("x-amz-", "region-set s3session-token"),
    _version_2("AWSAccessKeyId", "x-amz-security-token"),
    # CloudFront, with a canned policy and with one of its own.
    _Family(
        needs=_words("Signature Key-Pair-Id"),
        one_of=_words("Expires Policy"),
        also=_words("Hash-Algorithm"),
        expiry=_cloudfront,
    ),
    # Google Cloud Storage and its CDN.
    _version_4("x-goog-"),
    _version_2("GoogleAccessId"),
    _Family(
        needs=_words("KeyName Signature Expires"), also=_words("URLPrefix"), expiry=_at("Expires")
    ),
    # Azure: of an account, of a service, of a user's delegation. Overrides of the answer's headers
    # (rscc, rscd, rsce, rscl, rsct) are no part of it, as others' response-* are none.
    _Family(
        needs=_words("sig sv"),
        one_of=_words("se si"),
        also=_words(
            "ss srt sp st spr sip sr sdd ses skoid sktid skt ske sks skv skdutid sduoid saoid suoid"
            " scid"
        ),
        expiry=_azure,
    ),
    # Alibaba OSS, Huawei OBS, Volcengine TOS, Tencent COS.
    _version_4("x-oss-", "signature-version additional-headers"),
    _version_2("OSSAccessKeyId", "security-token"),
    _version_2("AccessKeyId", "x-obs-security-token"),
    _version_4("x-tos-"),
    _Family(
        needs=_words("q-ak q-signature"),
        also=_words(
            "q-sign-algorithm q-sign-time q-key-time q-header-list q-url-param-list"
            " x-cos-security-token"
        ),
        any_case=True,
        expiry=_tencent,
    ),
    # Backblaze, and Baidu, which writes it small.
    _Family(needs=_words("authorization"), any_case=True),
    # Akamai, by whatever of its names the token has.
    *(
        _Family(needs=_words(name), expiry=_akamai(name))
        for name in ("hdnts", "hdnea", "hdntl", "__token__", "__gda__")
    ),
)


def bare(url: str) -> str:
    """The address without its signature; any other text as it is."""
    address, mark, query = url.partition("?")
    if not mark or not _MAY_BE.search(query) or not _is_web(url):
        return url
    query, hash_mark, fragment = query.partition("#")
    parameters = query.split("&")
    ours = {name for _, names in _signatures(parameters) for name in names}
    if not ours:
        return url
    kept = "&".join(each for each in parameters if _name(each) not in ours)
    return address + (f"?{kept}" if kept else "") + hash_mark + fragment


def is_signed(url: str) -> bool:
    """Whether it is an address with a signature."""
    return bare(url) != url


def expiry(url: str) -> datetime | None:
    """When the first of the address's signatures expires; None where none of them says."""
    if not _is_web(url):
        return None
    parameters = url.partition("?")[2].partition("#")[0].split("&")
    found = []
    for family, names in _signatures(parameters):
        values = {
            _folded(family, _name(each)): unquote(each.partition("=")[2])
            for each in parameters
            if _name(each) in names
        }
        # It may say anything.
        with suppress(ValueError, LookupError, TypeError, OverflowError, OSError, RecursionError):
            found.append(family.expiry(values))
    return min(found, default=None)


def shown(text: str) -> str:
    """The text for people to read, without the signatures and other secrets of addresses in it.

    Of parameters that sound like one (`token`, `api_key`) the value is left out, also in an address
    that is cut off.
    """
    return _SECRET.sub(rf"\g<name>{_HIDDEN}", without_signatures(text))


def without_signatures(text: str) -> str:
    """The text with each address in it as `bare` has it."""
    if "?" not in text or "://" not in text:
        return text
    return _URL.sub(lambda found: bare(found[0]), text)


def without_signatures_in(value: Any) -> Any:
    """The same for all texts in a JSON value."""
    if isinstance(value, str):
        return without_signatures(value)
    if isinstance(value, list):
        return [without_signatures_in(each) for each in value]
    if isinstance(value, dict):
        return {name: without_signatures_in(each) for name, each in value.items()}
    return value


def _is_web(url: str) -> bool:
    return url[:8].lower().startswith(("https://", "http://"))


def _signatures(parameters: list[str]) -> list[tuple[_Family, set[str]]]:
    """The families that signed, each with the names of its parameters as they are decoded."""
    names = {name: name.lower() for name in map(_name, parameters)}
    found = ((family, family.names_in(names)) for family in _FAMILIES)
    return [(family, ours) for family, ours in found if ours]


def _folded(family: _Family, name: str) -> str:
    return name.lower() if family.any_case else name


def _name(parameter: str) -> str:
    # Copied out of HTML, an address has &amp; for &: no server takes it, and it is as secret.
    return unquote(parameter.partition("=")[0]).removeprefix("amp;")
