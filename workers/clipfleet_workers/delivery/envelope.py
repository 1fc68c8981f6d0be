"""What a message must look like before Celery sees it: checked once, whole, refused in one line.

Celery and kombu trust the broker: a malformed message ends the worker, is given back as it ends,
and ends the next. Here it goes no further than the wire.
"""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clipfleet.errors import MessageInvalid
from clipfleet.messages import check_version, faults
from clipfleet.queues import SPECS, WINDOW_QUEUES, QueueName

# Of the body as it travels. A job takes under 4 KiB; a window's carries its chord's as well.
MAX_BODY_BYTES = 32 * 1024

Short = Annotated[str, Field(max_length=255)]
Nothing = Annotated[dict[str, Any], Field(max_length=0)]
Number = Annotated[int, Field(ge=0, lt=2**31)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _SignatureOptions(_Strict):
    queue: QueueName
    ignore_result: bool = True
    task_id: Short | None = None
    reply_to: Short | None = None
    group_id: Short | None = None
    group_index: Number | None = None
    chord: "_Signature | None" = None


class _Signature(_Strict):
    """A task to be sent after this one: one of a queue's, with its own job."""

    task: QueueName
    args: Annotated[list[Any], Field(min_length=1, max_length=1)]
    kwargs: Nothing
    options: _SignatureOptions
    subtask_type: None = None
    immutable: Literal[True]

    @model_validator(mode="after")
    def _is_valid(self) -> "_Signature":
        SPECS[self.task].message.read(self.args[0])
        if self.options.queue != self.task:
            raise ValueError(f"{self.task} on the queue {self.options.queue}")
        return self


class _Embed(_Strict):
    callbacks: Annotated[list[_Signature], Field(max_length=1)] | None = None
    errbacks: Annotated[list[Any], Field(max_length=0)] | None = None
    chain: Annotated[list[_Signature], Field(max_length=len(WINDOW_QUEUES) - 1)] | None = None
    chord: _Signature | None = None


class _Headers(BaseModel):
    """What Celery reads of a message's headers; the rest is for people."""

    model_config = ConfigDict(extra="ignore", strict=True)

    task: QueueName
    id: Short
    root_id: Short | None = None
    parent_id: Short | None = None
    group: Short | None = None
    group_index: Number | None = None
    retries: Number | None = 0
    eta: Short | None = None
    expires: None = None
    timelimit: list[None] | None = None
    replaced_task_nesting: Number | None = 0
    stamped_headers: None = None
    stamps: Nothing | None = None
    ignore_result: bool = False

    @model_validator(mode="after")
    def _moment(self) -> "_Headers":
        if self.eta is not None:
            datetime.fromisoformat(self.eta)
        return self


class _DeliveryInfo(BaseModel):
    exchange: Literal[""]
    routing_key: QueueName


class _Properties(BaseModel):
    """What kombu reads of a message's properties."""

    model_config = ConfigDict(extra="ignore", strict=True)

    delivery_tag: Short
    delivery_info: _DeliveryInfo
    body_encoding: Literal["base64"]
    correlation_id: Short | None = None
    reply_to: Short | None = None
    priority: Number | None = 0


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    body: Annotated[str, Field(max_length=MAX_BODY_BYTES)]
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    headers: _Headers
    properties: _Properties


class _Body(BaseModel):
    model_config = ConfigDict(strict=True)

    args: Annotated[list[Any], Field(min_length=1, max_length=1)]
    kwargs: Nothing
    embed: _Embed


def check(message: Any, queue: str) -> None:
    """Raises `MessageInvalid`, saying what is wrong, unless `message` is a valid one for `queue`.

    `message` is the broker's JSON, read. Raises `NewerVersion` where it is of a version that may
    have fields that this one does not know. Nothing checks its job again (`Message.received`).
    """
    _check_version(message)
    try:
        envelope = _Envelope.model_validate(message)
        args, kwargs, embed = json.loads(base64.b64decode(envelope.body, validate=True))
        _Body(args=args, kwargs=kwargs, embed=embed)
    except ValidationError as error:
        raise MessageInvalid(faults(error)[:400]) from None
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise MessageInvalid(f"its body cannot be read: {error}"[:400]) from None
    if envelope.headers.task != queue or envelope.properties.delivery_info.routing_key != queue:
        raise MessageInvalid(f"{envelope.headers.task} does not belong on the queue {queue}")
    SPECS[queue].message.read(args[0])


def _check_version(message: Any) -> None:
    try:
        body, properties = message["body"], message["properties"]
        is_readable = len(body) <= MAX_BODY_BYTES and isinstance(message["headers"], dict)
        if not is_readable or not isinstance(properties["delivery_tag"], str):
            return
        payload = json.loads(base64.b64decode(body, validate=True))[0][0]
    except (binascii.Error, ValueError, TypeError, KeyError, IndexError, RecursionError):
        return  # `check` says what is wrong with it
    check_version(payload)
