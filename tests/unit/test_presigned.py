"""What of an address is a signature, and what is said of one."""

import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest

from clipfleet.presigned import bare, expiry, is_signed, shown, without_signatures_in

HOST = "https://bucket.example.org/a%20b.mp4"
AT = datetime(2026, 1, 1, 1, tzinfo=UTC)
EPOCH = int(AT.timestamp())
V4 = "{0}Algorithm=X&{0}Credential=AK%2F1&{0}Date=20260101T000000Z&{0}Expires=3600&{0}Signature=5ec"
STATEMENT = {"Condition": {"DateLessThan": {"AWS:EpochTime": EPOCH}}, "Resource": "https://x/*"}
POLICY = (
    b64encode(json.dumps({"Statement": [STATEMENT]}).encode())
    .decode()
    .translate(str.maketrans("+=/", "-_~"))
)

SIGNED = {
    "AWS v4": V4.format("X-Amz-") + "&X-Amz-SignedHeaders=host",
    "AWS v4 of a session": V4.format("X-Amz-") + "&X-Amz-Security-Token=IQoJ%2Bx%2F%3D",
    "AWS v4 by the JavaScript SDK": V4.format("X-Amz-") + "&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
    "AWS v4 in small letters": V4.format("x-amz-").replace("Algo", "algo").replace("Sig", "sig"),
    "AWS v4 with escapes in its names": V4.format("X%2DAmz%2D"),
    "AWS v4 with its names all escapes": "&".join(
        "".join(f"%{ord(letter):02x}" for letter in name) + "=" + value
        for name, _, value in (each.partition("=") for each in V4.format("X-Amz-").split("&"))
    ),
    "AWS v4 out of HTML": V4.format("X-Amz-").replace("&", "&amp;"),
    "AWS v2": f"AWSAccessKeyId=AK&Signature=5ec%3D&Expires={EPOCH}",
    "AWS v2, session": f"x-amz-security-token=5ec&AWSAccessKeyId=AK&Signature=5ec&Expires={EPOCH}",
    "CloudFront, canned": f"Expires={EPOCH}&Signature=5ec~-&Key-Pair-Id=K2&Hash-Algorithm=SHA256",
    "CloudFront, its own policy": f"Policy={POLICY}&Signature=5ec&Key-Pair-Id=K2",
    "GCS v4": V4.format("X-Goog-") + "&X-Goog-SignedHeaders=host",
    "GCS v2": f"GoogleAccessId=me@x.iam.gserviceaccount.com&Expires={EPOCH}&Signature=5ec%2B",
    "Google's CDN": f"Expires={EPOCH}&KeyName=k&Signature=5ec",
    "Azure, of an account": "sv=2024-11-04&ss=b&srt=o&sp=r&se=2026-01-01T01:00:00Z"
    "&st=2025-12-31&spr=https&sig=5ec%3D",
    "Azure, of a service": "sp=r&st=2025-12-31&se=2026-01-01T01:00Z&sv=2024-11-04&sr=b&sig=5ec",
    "Azure, of a policy": "sv=2024-11-04&si=readers&sr=b&sip=10.0.0.1&sig=5ec",
    "Azure, of a user": "sv=2024-11-04&skoid=a&sktid=b&skt=c&ske=d&sks=b&skv=e&saoid=f"
    "&suoid=g&scid=h&sdd=1&se=2026-01-01T01:00:00Z&sr=d&sp=r&sig=5ec",
    "OSS v4": V4.format("x-oss-") + "&x-oss-signature-version=OSS4&x-oss-additional-headers=host",
    "OSS v1": f"OSSAccessKeyId=AK&Expires={EPOCH}&Signature=5ec&security-token=5ec",
    "OBS": f"AccessKeyId=AK&Expires={EPOCH}&Signature=5ec&x-obs-security-token=5ec",
    "TOS": V4.format("X-Tos-"),
    "COS": f"q-sign-algorithm=sha1&q-ak=AK&q-sign-time=1%3B{EPOCH}&q-key-time=1%3B{EPOCH}"
    "&q-header-list=host&q-url-param-list=&q-signature=5ec&x-cos-security-token=5ec",
    "Backblaze": "Authorization=3_20260101_5ec",
    "Akamai": f"hdnts=exp={EPOCH}~acl=/*~hmac=5ec",
}  # fmt: skip
SILENT = {"Azure, of a policy", "Backblaze", "AWS v4 out of HTML"}


@pytest.mark.parametrize("family", SIGNED)
@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("", "", ""),
        ("versionId=3%2f4&", "", "?versionId=3%2f4"),
        ("", "&response-content-type=video%2Fmp4", "?response-content-type=video%2Fmp4"),
        ("b=2&a=%7e&", "&a=1&flag&&c=", "?b=2&a=%7e&a=1&flag&&c="),
    ],
    ids=["alone", "behind another", "before another", "among many"],
)
def test_a_signature_is_taken_out_and_the_rest_stays_byte_for_byte(
    family: str, before: str, after: str, kept: str
) -> None:
    url = f"{HOST}?{before}{SIGNED[family]}{after}"

    assert bare(url) == HOST + kept
    assert is_signed(url)
    assert bare(bare(url)) == bare(url)


@pytest.mark.parametrize("family", SIGNED)
def test_parameters_of_a_signature_come_in_any_order(family: str) -> None:
    turned = "&".join(reversed(SIGNED[family].split("&")))

    assert bare(f"{HOST}?{turned}".replace("?amp;", "?")) == HOST


@pytest.mark.parametrize("family", [name for name in SIGNED if name not in SILENT])
def test_when_a_signature_expires_is_read_from_it(family: str) -> None:
    assert expiry(f"{HOST}?v=1&{SIGNED[family]}") == AT


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Date=today&X-Amz-Expires=3600&X-Amz-Signature=a",
        "X-Amz-Date=20260101T000000Z&X-Amz-Expires=99999999999999999999&X-Amz-Signature=a",
        "AWSAccessKeyId=a&Signature=b&Expires=99999999999999999999",
        "AWSAccessKeyId=a&Signature=b&Expires=soon",
        "sv=1&se=never&sig=a",
        "q-ak=a&q-signature=b&q-sign-time=1",
        "hdnts=acl=/*",
        "Policy=eyAN&Signature=a&Key-Pair-Id=b",
        "Policy=W10_&Signature=a&Key-Pair-Id=b",
        "Policy=MQ__&Signature=a&Key-Pair-Id=b",
        "a=1",
    ],
)
def test_an_expiry_that_cannot_be_read_is_none(query: str) -> None:
    assert expiry(f"{HOST}?{query}") is None


@pytest.mark.parametrize(
    "url",
    [
        HOST,
        f"{HOST}?",
        f"{HOST}?Expires={EPOCH}",
        f"{HOST}?Signature=a&Expires=5",
        f"{HOST}?Expires=5&Key-Pair-Id=K2",
        f"{HOST}?Key-Pair-Id=K2&Signature=a",
        f"{HOST}?awsaccesskeyid=a&signature=b&expires=5",
        f"{HOST}?sig=a",
        f"{HOST}?sig=a&se=5",
        f"{HOST}?sv=1&se=2&sp=r",
        f"{HOST}?X-Amz-Date=20260101T000000Z&X-Amz-Expires=5",
        f"{HOST}?versionId=3&partNumber=2&x-id=GetObject&x-amz-checksum-mode=ENABLED",
        f"{HOST}?x-oss-process=video/snapshot,t_7000",
        f"{HOST}?snapshot=2026-01-01&rscd=inline",
        f"{HOST}?token=a&access_token=b",
        f"s3://bucket/a.mp4?{SIGNED['AWS v4']}",
        f"file:///a.mp4?{SIGNED['AWS v4']}",
        f"a.mp4?{SIGNED['AWS v4']}",
    ],
)
def test_what_is_no_whole_signature_is_the_clips_own(url: str) -> None:
    assert bare(url) == url
    assert not is_signed(url)
    assert expiry(url) is None


@pytest.mark.parametrize("kept", ["versionId=3", "response-content-disposition=inline", "rscd=a"])
def test_beside_a_signature_only_its_own_parameters_are_taken(kept: str) -> None:
    assert bare(f"{HOST}?{SIGNED['AWS v4']}&{kept}") == f"{HOST}?{kept}"
    assert bare(f"{HOST}?{SIGNED['Azure, of a service']}&{kept}") == f"{HOST}?{kept}"


def test_an_address_may_be_in_large_letters_and_have_two_signatures() -> None:
    url = f"HTTPS://HOST/a?{SIGNED['AWS v4']}&v=1&{SIGNED['CloudFront, canned']}"

    assert bare(url) == "HTTPS://HOST/a?v=1"


@pytest.mark.parametrize("family", SIGNED)
@pytest.mark.parametrize("text", ["{}", "list.csv, line 3: {} is no clip", "<{}>", "no: '{}'"])
def test_no_text_shows_a_signature(family: str, text: str) -> None:
    said = shown(text.format(f"{HOST}?id=7&{SIGNED[family]}"))

    assert said == text.format(f"{HOST}?id=7")


# What is all escapes is known by its whole alone.
@pytest.mark.parametrize("family", [name for name in SIGNED if "all escapes" not in name])
@pytest.mark.parametrize("most", [0, 10, 30, 60])
def test_half_an_address_shows_no_secret(family: str, most: int) -> None:
    url = f"{HOST}?{SIGNED[family]}"
    end = url.find("5ec") + 3 + most

    assert "5ec" not in shown(url[:end])
    assert "5ec" not in shown(f"/a?{SIGNED[family]}"[:end])


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "api_key", "apikey", "auth", "password", "key", "client_secret"],
)
def test_what_sounds_like_a_secret_is_not_shown(name: str) -> None:
    assert shown(f"{HOST}?id=7&{name}=5ec/x=&t=1") == f"{HOST}?id=7&{name}=…&t=1"


@pytest.mark.parametrize(
    "text", ["a.mp4", f"{HOST}?id=7&author=jan&design=2&t=1", "what? a=b", "s3://b/a?b.mp4"]
)
def test_other_text_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == text


def test_signatures_are_taken_out_of_whatever_json_holds() -> None:
    url = f"{HOST}?{SIGNED['AWS v4']}"
    value = {"url": url, "all": [url, {"note": f"see {url} and {url}"}], "n": 1, "ok": None}

    assert without_signatures_in(value) == {
        "url": HOST,
        "all": [HOST, {"note": f"see {HOST} and {HOST}"}],
        "n": 1,
        "ok": None,
    }


def test_text_of_strangers_is_looked_through_in_time_that_grows_as_it_does() -> None:
    for text in ("?sign" * 50_000, "&" + "sign" * 60_000, "?" * 200_000, "https://" * 30_000 + "?"):
        shown(text)
