"""Where things are and how they are run: read once, at the edge, into one object.

What a run asks for is in `options.py`; this is about machines and services.
"""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from clipfleet import xdg
from clipfleet.config_file import config_file
from clipfleet.engines import ENGINES, check_engine
from clipfleet.errors import UsageError
from clipfleet.sources import AllowedSources
from clipfleet.store import STORE_FORMS, Store, open_bucket, open_store
from clipfleet.store.base import Access
from clipfleet.suggestions import did_you_mean

if TYPE_CHECKING:
    from celery import Celery

    from clipfleet.broker.client import Broker
    from clipfleet.store.bucket import Bucket


def _check_places(places: tuple[str, ...]) -> tuple[str, ...]:
    AllowedSources(places)
    return places


class ClipLimits(BaseModel):
    """The most that a worker takes of a clip; what is beyond is refused as `ClipTooLarge`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Annotated[int, Field(ge=1)] = 2 * 2**30
    # A transport stream's clock turns over after 26.5 hours, and such clips are cut right.
    max_duration_s: Annotated[float, Field(gt=0)] = 100_000.0
    max_frames: Annotated[int, Field(ge=1)] = 250_000  # an hour at 60 a second, and some
    max_frame_pixels: Annotated[int, Field(ge=1)] = 8192 * 4320
    max_streams: Annotated[int, Field(ge=1)] = 64  # video, sound, text
    max_decode_s: Annotated[float, Field(gt=0)] = 600.0
    """Longest that fetching it by https may take, and as long again reading and decoding it."""
    max_decode_bytes: Annotated[int, Field(ge=2**26)] = 4 * 2**30
    """Most memory that cutting it may add to its process (on Linux alone)."""
    min_decodable_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of its frames that must come out of the decoder; with fewer it is `ClipUnreadable`."""


class Settings(BaseSettings):
    """Settings of producers and workers: flags first, then CLIPFLEET_* variables, then TOML."""

    model_config = SettingsConfigDict(
        env_prefix="CLIPFLEET_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    broker: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Broker, as redis://[:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS.",
    )
    store: str = Field("", description=f"Output root: {STORE_FORMS}.")
    s3_endpoint: str | None = Field(None, description="URL of the S3 or MinIO server.")
    s3_access_key: str | None = Field(None, description="S3 access key.")
    s3_secret_key: SecretStr | None = Field(None, description="S3 secret key.")
    s3_region: str | None = Field(None, description="S3 region.")
    lease_s: Annotated[float, Field(ge=1)] = Field(
        30.0, description="Seconds after which a dead worker's messages go to another."
    )
    max_deliveries: Annotated[int, Field(ge=1)] = Field(
        3, description="Times that a message may end its worker before its clip is given up."
    )
    max_retries: Annotated[int, Field(ge=0)] = Field(
        100,
        description="Times that a task which the store fails is tried again, ever slower up to a "
        "minute, before its clip is given up.",
    )
    cache_dir: Path = Field(
        default_factory=xdg.cache_folder, description="Folder that models are kept in."
    )
    clip_limits: ClipLimits = Field(
        ClipLimits(), description="The most that a worker takes of a clip, as a table or as JSON."
    )
    allowed_sources: Annotated[tuple[str, ...], AfterValidator(_check_places)] | None = Field(
        None,
        description="Places that clips may come from, as JSON: folders, s3://BUCKET[/PREFIX], "
        "https://HOST. Any by default; --upload-clips copies only from what a command names.",
    )
    manifest_memory_bytes: Annotated[int, Field(ge=2**26)] = Field(
        2**30, description="Most memory that reading a manifest in Parquet may take (Linux)."
    )
    fetch_private: bool = Field(
        False, description="Also fetch https clips from hosts of the workers' own network."
    )
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="Part of its GPU's memory that an engine takes."
    )
    engine: Annotated[str, AfterValidator(check_engine)] = Field(
        "vllm", description=f"What runs the models: {', '.join(ENGINES)} (docs/models.md)."
    )
    engine_url: str | None = Field(
        None, description="URL of the engine's server, such as http://gpu7:8000/v1."
    )
    engine_api_key: SecretStr | None = Field(None, description="Its API key, if it wants one.")
    engine_arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="Arguments of vLLM's own, over ours, such as "
        '{"max_num_batched_tokens": 16384}.',
    )
    request_timeout_s: Annotated[float, Field(gt=0)] = Field(
        900.0,
        description="Seconds after which a window that the model does not answer is taken back.",
    )
    load_timeout_s: Annotated[float, Field(gt=0)] = Field(
        7200.0,
        description="Seconds that loading a model may take, its download included, before its "
        "worker ends, to be started again.",
    )
    drain_s: Annotated[float, Field(ge=0)] = Field(
        60.0, description="Seconds that a GPU worker told to stop goes on with what it holds."
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of runs by their flags' names, as the TOML file's table [options].",
    )
    log_format: str | None = Field(
        None, description="json or text; text on a terminal, json elsewhere, by default."
    )

    @property
    def sources(self) -> AllowedSources | None:
        """The places that clips may come from; None: any."""
        return None if self.allowed_sources is None else AllowedSources(self.allowed_sources)

    def open_broker(self) -> "Broker":
        """The broker, beside Celery; nothing is asked of it yet. Raises `UsageError`."""
        from clipfleet.broker.client import Broker

        return Broker(self.broker.get_secret_value())

    def open_app(self, *, kind: "type[Celery] | None" = None, backend: str = "") -> "Celery":
        """The Celery app of these settings; the rest as `queues.make_app`. Raises `UsageError`."""
        from clipfleet.queues import make_app

        url = self.broker.get_secret_value()
        return make_app(url, lease_s=self.lease_s, kind=kind, backend=backend)

    def open_store(self, uri: str | None = None) -> Store:
        """The output root, or the store at `uri`, by these settings' access. Raises `UsageError`.

        Neither disk nor network is touched yet.
        """
        return open_store(self.store if uri is None else uri, **self._access())

    def open_bucket(self, name: str) -> "Bucket":
        """A bucket with clips, by the same access. Raises `UsageError`."""
        return open_bucket(name, **self._access())

    def _access(self) -> Access:
        secret = self.s3_secret_key
        return {
            "s3_endpoint": self.s3_endpoint,
            "s3_access_key": self.s3_access_key,
            "s3_secret_key": secret.get_secret_value() if secret else None,
            "s3_region": self.s3_region,
        }

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the TOML file."""
        file = config_file()
        toml = (TomlConfigSettingsSource(settings_cls, toml_file=file),) if file else ()
        return (init_settings, env_settings, *toml)


def read_settings(**flags: Any) -> Settings:
    """The settings in force; `flags` that are None are not given. Raises `UsageError`."""
    try:
        return Settings(**{k: v for k, v in flags.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            name = str(first["loc"][0])
            meant = did_you_mean(name, Settings.model_fields)
            raise UsageError(f"{config_file()}: there is no setting {name}{meant}") from None
        name = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        variable = "__".join(part for part in first["loc"] if isinstance(part, str)).upper()
        raise UsageError(f"setting {name} (CLIPFLEET_{variable}): {said}") from None
    except SettingsError as error:  # a variable whose value is not JSON, where it has to be
        raise UsageError(f"a CLIPFLEET_ variable: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{config_file()} is not valid TOML: {error}") from None
    except OSError as error:
        raise UsageError(f"{config_file()} cannot be read: {error.strerror or error}") from None
