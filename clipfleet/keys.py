"""Where everything lies in the store. `start` and `end` are frame numbers, both inclusive."""

import hashlib
import uuid
from dataclasses import dataclass
from urllib.parse import quote

RECORDS = "metas/v0/"
PREVIEWS = "previews/"
REVIEWS = "reviews/v0/"
SETS = "sets/"
SCRATCH = "scratch/"
ACTIVE = "active/"
RUNS = "runs/"

_URLS = uuid.NAMESPACE_URL.bytes


def clip_uuid(source: str, span: tuple[float, float] | None = None) -> str:
    """The clip's name: uuid5 of its source URI, and of its span in seconds where one is given."""
    name = source if span is None else f"{source}#t={span[0]!r},{span[1]!r}"
    # `uuid.uuid5` (RFC 9562) in a third of its time, which was a tenth of that of a long list.
    digest = bytearray(hashlib.sha1(_URLS + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def in_set(set_name: str) -> str:
    """Where the objects of a set lie: "" at the root, others in a folder of their own."""
    return f"{SETS}{set_name}/" if set_name else ""


def set_file(set_name: str = "") -> str:
    """The options that the set is made with."""
    return f"{in_set(set_name)}set.json"


def record(clip: str, set_name: str = "") -> str:
    """The clip's record. Where it exists, the clip is done."""
    return f"{in_set(set_name)}{RECORDS}{clip}.json"


def preview(clip: str, start: int, end: int, set_name: str = "") -> str:
    """A window's animated preview."""
    return f"{in_set(set_name)}{PREVIEWS}{clip}/{start}_{end}.webp"


def poster(clip: str, start: int, end: int, set_name: str = "") -> str:
    """The first frame of a window's preview, as a still for pages that list thousands."""
    return f"{in_set(set_name)}{PREVIEWS}{clip}/{start}_{end}.jpg"


def clip(clip: str, set_name: str = "") -> str:
    """The clip itself, where it was asked for."""
    return f"{in_set(set_name)}clips/{clip}.mp4"


def review(clip: str, set_name: str = "") -> str:
    """What people said of the clip's captions."""
    return f"{in_set(set_name)}{REVIEWS}{clip}.json"


def run(run_id: str) -> str:
    """Everything about a run."""
    return f"{RUNS}{quote(run_id, safe='')}/"


def run_options(run_id: str) -> str:
    """The options of a run."""
    return run(run_id) + "options.json"


def run_variant(run_id: str, options_hash: str) -> str:
    """Options that single clips of the run were given."""
    return f"{run(run_id)}options/{options_hash}.json"


def run_sources(run_id: str, manifest_version: str) -> str:
    """The places that the run's clips may be copied from, by a version of its manifest."""
    return f"{run(run_id)}sources/{manifest_version}.json"


def run_head(run_id: str) -> str:
    """What the run is, written after its manifest."""
    return run(run_id) + "run.json"


def run_manifests(run_id: str) -> str:
    """Every version of the run's manifest."""
    return f"{run(run_id)}manifest/"


def run_manifest(run_id: str, manifest_version: str, shard: int) -> str:
    """One shard of a version of the run's manifest, JSON lines."""
    return f"{run_manifests(run_id)}{manifest_version}/{shard:06d}.jsonl"


def run_addresses(run_id: str, manifest_version: str) -> str:
    """The presigned addresses of one version of a manifest; in scratch, to expire with it."""
    return f"{SCRATCH}runs/{quote(run_id, safe='')}@{manifest_version}/"


def shard_addresses(run_id: str, manifest_version: str, shard: int) -> str:
    """The presigned addresses of one shard's clips, by clip; gone once all of them are done."""
    return f"{run_addresses(run_id, manifest_version)}{shard:06d}.json"


def run_done(run_id: str, manifest_version: str, shard: int) -> str:
    """The counts of one shard of a manifest, once all of its clips are done."""
    return f"{run(run_id)}done/{manifest_version}/{shard:06d}.json"


def run_digest(run_id: str, manifest_version: str, shard: int) -> str:
    """What the records of that shard's clips say in short (`ClipDigest`), JSON lines."""
    return f"{run(run_id)}done/{manifest_version}/{shard:06d}.jsonl"


def run_summary(run_id: str) -> str:
    """The run's summary: its counts once it has finished."""
    return run(run_id) + "summary.json"


def run_cancellation(run_id: str) -> str:
    """When the run was last cancelled, and how it was fed until then."""
    return run(run_id) + "cancelled.json"


def active(run_id: str, manifest_version: str) -> str:
    """How a version of the run is to be fed; gone once it has finished."""
    return f"{ACTIVE}{quote(run_id, safe='')}@{manifest_version}.json"


@dataclass(frozen=True)
class Scratch:
    """What is in flight of a clip of a set, done with these options; gone once it is done.

    All of it lies under `scratch/`, of every set, so that one lifecycle rule expires what is left.
    """

    clip: str
    options_hash: str
    set_name: str = ""

    @property
    def prefix(self) -> str:
        """All of it."""
        folder = f"{self.set_name}/" if self.set_name else ""
        return f"{SCRATCH}{folder}{self.clip}/{self.options_hash}/"

    @property
    def source(self) -> str:
        """The clip's bytes, where workers cannot read the producer's paths."""
        return self.prefix + "source"

    @property
    def address(self) -> str:
        """The clip's address with its signature, where it has one that is no part of its name."""
        return self.prefix + "address"

    @property
    def metadata(self) -> str:
        """What the run's manifest says of the clip, to be put into its record as it is."""
        return self.prefix + "metadata.json"

    @property
    def plan(self) -> str:
        """What `prepare` found, written after every pack."""
        return self.prefix + "plan.json"

    def frames(self, start: int, end: int) -> str:
        """The frames of a window that the model sees."""
        return f"{self.prefix}{start}_{end}.frames"

    def preview_frames(self, start: int, end: int) -> str:
        """The frames of a window that its preview shows."""
        return f"{self.prefix}{start}_{end}.preview-frames"

    def part(self, start: int, end: int, queue: str) -> str:
        """What one queue found for one window."""
        return f"{self.prefix}{start}_{end}.{queue}.json"
