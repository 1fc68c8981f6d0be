"""The rule of a bucket by which what lies in scratch expires."""

from xml.etree import ElementTree as ET

from minio import Minio
from minio.error import S3Error
from minio.helpers import md5sum_hash

from clipfleet.keys import SCRATCH
from clipfleet.store.base import SCRATCH_DAYS

_XML_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def expire_scratch(client: Minio, bucket: str, prefix: str) -> None:
    """Add the rule to the bucket's lifecycle, or bring it up to date; other rules are kept.

    On the XML itself: minio-py's own classes forget what they do not know, such as the old
    `<Prefix>` outside `<Filter>`, and writing such a rule back would expire the whole bucket.
    """
    lifecycle = _lifecycle(client, bucket)
    wanted = expiry_rule(prefix)
    for rule in lifecycle.findall("Rule"):
        if rule.findtext("ID") == wanted.findtext("ID"):
            if meaning(rule) == meaning(wanted):
                return
            lifecycle.remove(rule)
    lifecycle.append(wanted)
    lifecycle.set("xmlns", _XML_NAMESPACE)
    body = ET.tostring(lifecycle)
    client._execute(
        "PUT",
        bucket,
        body=body,
        headers={"Content-MD5": md5sum_hash(body) or ""},
        query_params={"lifecycle": ""},
    )


def _lifecycle(client: Minio, bucket: str) -> ET.Element:
    try:
        response = client._execute("GET", bucket, query_params={"lifecycle": ""})
    except S3Error as error:
        if error.code != "NoSuchLifecycleConfiguration":
            raise
        return ET.Element("LifecycleConfiguration")
    lifecycle = ET.fromstring(response.data)
    for element in lifecycle.iter():
        element.tag = element.tag.rpartition("}")[2]
    return lifecycle


def expiry_rule(prefix: str) -> ET.Element:
    """The bucket's rule for one store; stores under other prefixes of the bucket have their own."""
    rule = ET.Element("Rule")
    name = f"clipfleet-scratch {prefix}".strip()[:255]
    ET.SubElement(rule, "ID").text = name
    ET.SubElement(ET.SubElement(rule, "Filter"), "Prefix").text = f"{prefix}{SCRATCH}"
    ET.SubElement(rule, "Status").text = "Enabled"
    ET.SubElement(ET.SubElement(rule, "Expiration"), "Days").text = str(SCRATCH_DAYS)
    return rule


def meaning(rule: ET.Element) -> tuple[str | None, ...]:
    """What a rule of ours says, whatever else is in its XML."""
    return tuple(rule.findtext(path) for path in ("Filter/Prefix", "Status", "Expiration/Days"))
