"""What an export is of and what it takes: kept beside its files, so that it goes on as it began."""

import enum
from pathlib import Path

from pydantic import ValidationError

from clipfleet.errors import UsageError
from clipfleet.messages import OptionsHash, RunId, faults
from clipfleet.private import no_link
from clipfleet.records import Stored
from clipfleet.runs import RunHead
from clipfleet_producer.export.journal import JOURNAL_FILE
from clipfleet_producer.export.schema import Per

ORDER_FILE = "_export.json"


class Format(enum.StrEnum):
    """What an export may be written as."""

    JSONL = "jsonl"  # a JSON object on each line
    PARQUET = "parquet"
    CSV = "csv"  # with schema.json beside it
    WEBDATASET = "webdataset"  # tar files: of each window its row, its caption, its pictures
    LANCE = "lance"  # one dataset


# Clips in one part, where nothing else is asked for. WebDataset's parts hold pictures, some 100 KB
# a window; each of Lance's is a version of the dataset, and each version lists all its files.
PART_CLIPS = {
    Format.JSONL: 10_000,
    Format.PARQUET: 10_000,
    Format.CSV: 10_000,
    Format.WEBDATASET: 1_000,
    Format.LANCE: 100_000,
}


class ExportSpec(Stored):
    """An export: of which run, and how.

    `shard_size` is clips in a part: part k has those from place k * shard_size of the manifest, so
    that what belongs into it never depends on what was done before. `only_valid` leaves out clips
    with errors, `only_approved` those that no reviewer approved, `pictures` puts previews in,
    `escape_formulas` keeps spreadsheets from taking texts of CSV for formulas.
    """

    run_id: RunId
    options_hash: OptionsHash
    run_created_at: str
    clips: int
    format: Format
    per: Per = Per.WINDOW
    only_valid: bool = False
    only_approved: bool = False
    pictures: bool = True
    escape_formulas: bool = False
    shard_size: int

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.clips // self.shard_size)


def make_spec(
    head: RunHead,
    format: Format,
    *,
    per: Per = Per.WINDOW,
    only_valid: bool = False,
    only_approved: bool = False,
    pictures: bool = True,
    escape_formulas: bool = True,
    shard_size: int | None = None,
) -> ExportSpec:
    """The spec of an export of this run. Raises `UsageError` for what the format cannot hold."""
    if per is Per.CLIP and format in (Format.CSV, Format.WEBDATASET):
        raise UsageError(
            f"{format} has one row a window; for rows of clips take jsonl, parquet or lance"
        )
    return ExportSpec(
        run_id=head.run_id,
        options_hash=head.options_hash,
        run_created_at=head.created_at,
        clips=head.clips,
        format=format,
        per=per,
        only_valid=only_valid,
        only_approved=only_approved,
        pictures=pictures,
        escape_formulas=escape_formulas and format is Format.CSV,
        shard_size=shard_size or PART_CLIPS[format],
    )


def check_folder(folder: Path, spec: ExportSpec) -> None:
    """Raises `UsageError` where the folder is another export's, or holds other things."""
    file = folder / ORDER_FILE
    if file.exists():
        _check_same(file, spec)
    elif folder.is_dir():
        others = (entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        if any(name != JOURNAL_FILE for name in others):
            raise UsageError(f"{folder} is not empty, and holds no export; choose another folder")


def keep(folder: Path, spec: ExportSpec) -> None:
    """Write the spec into its folder, whole or not at all."""
    unfinished = folder / f".{ORDER_FILE}.part"
    with open(unfinished, "wb", opener=no_link) as file:
        file.write(spec.to_bytes())
    unfinished.replace(folder / ORDER_FILE)


def _check_same(file: Path, spec: ExportSpec) -> None:
    try:
        earlier = ExportSpec.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise UsageError(
            f"{file}: {faults(error, whole='')[:300]}; choose another folder"
        ) from None
    differing = [
        f"{name.replace('_', ' ')} {was}, not {asked}"
        for name in ExportSpec.model_fields
        if (was := getattr(earlier, name)) != (asked := getattr(spec, name))
    ]
    if differing:
        raise UsageError(
            f"{file.parent} holds an export with {'; '.join(differing)}: "
            "give the same command as then, or choose another folder"
        )
