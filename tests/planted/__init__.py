"""Faults that the code could have, and the test file that each must turn red.

A fault is keyed by the symbol that it changes, wherever that stands: it survives moves.
`python -m tests.planted [NAME…]` plants each in a copy of the tree and runs its file there.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from tests.unit.imports import parsed

PACKAGES = ("clipfleet", "producer", "workers", "review")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """In the function or class `symbol` (`Class.method`), `right` becomes `wrong`."""

    symbol: str
    right: str
    wrong: str
    turns_red: str


FAULTS = {
    "windows": Fault(
        symbol="split",
        right="remainder >= threshold",
        wrong="remainder > threshold",
        turns_red="tests/unit/test_windows.py",
    ),
    "sampling": Fault(
        symbol="sample_by_time",
        right="np.where(left_is_nearer, right - 1, right)",
        wrong="right",
        turns_red="tests/integration/test_right_answers.py",
    ),
    "colours": Fault(
        symbol="Picture.of",
        right="full_range=",
        wrong="full_range=not ",
        turns_red="tests/integration/test_right_answers.py",
    ),
    "state": Fault(
        symbol="needed_packets",
        right="sets = any(kind.sets for kind in kinds)",
        wrong="sets = False",
        turns_red="tests/integration/test_splices.py",
    ),
    "references": Fault(
        symbol="Hevc._misses_any",
        right="return bool(missing) and",
        wrong="return False and",
        turns_red="tests/unit/test_hevc.py",
    ),
    "encryption": Fault(
        symbol="refuse_encrypted",
        right="track.encryption:",
        wrong="False:",
        turns_red="tests/integration/test_encryption.py",
    ),
    "signatures": Fault(
        symbol="bare",
        right="if not ours:",
        wrong="if True:",
        turns_red="tests/unit/test_presigned.py",
    ),
    "packs": Fault(
        symbol="Pack.from_bytes",
        right='if checksum != metadata["xxh3_128"]:',
        wrong="if False:",
        turns_red="tests/unit/test_packs.py",
    ),
    "leases": Fault(
        symbol="Leases._renew",
        right="dict.fromkeys([*tags, *future], now)",
        wrong="dict.fromkeys(future, now)",
        turns_red="tests/faults/test_clock.py",
    ),
    "subscription": Fault(
        symbol="ChordCounter.add_pending_result",
        right="return result",
        wrong="return super().add_pending_result(result)",
        turns_red="tests/unit/test_queue_app.py",
    ),
    "broker errors": Fault(
        symbol="passes",
        right="return isinstance(error, _PASSING_TYPES) or",
        wrong="return False and",
        turns_red="tests/integration/test_connection.py",
    ),
    "evidence": Fault(
        symbol="Restorer._vanished",
        right="alive_key(holder), farewell_key(holder)",
        wrong="alive_key(holder)",
        turns_red="tests/integration/test_leases.py",
    ),
    "versions": Fault(
        symbol="check_version",
        right="version > MESSAGE_VERSION",
        wrong="version > 9 * MESSAGE_VERSION",
        turns_red="tests/integration/test_versions.py",
    ),
    "newer records": Fault(
        symbol="Kept.is_done",
        right="done or self.newer",
        wrong="done",
        turns_red="tests/integration/test_versions.py",
    ),
    "lists": Fault(
        symbol="_put_head",
        right="content_type=JSON, if_absent=True)",
        wrong="content_type=JSON)",
        turns_red="tests/integration/test_manifest.py",
    ),
    "chord": Fault(
        symbol="send_windows",
        right="chord(header, app=app)(assemble)",
        wrong="chord(header[:-1] or header, app=app)(assemble)",
        turns_red="tests/unit/test_protocol.py",
    ),
    "idempotency": Fault(
        symbol="do_once",
        right="if found is not None:",
        wrong="if found is not None and False:",
        turns_red="tests/unit/test_protocol.py",
    ),
    "record": Fault(
        symbol="completed",
        right="(Status.ERROR, Status.CANCELLED)",
        wrong="(Status.CANCELLED,)",
        turns_red="tests/unit/test_assemble.py",
    ),
    "records of two": Fault(
        symbol="put_record",
        right="merge(kept.record, record, again=kept.digest == replaces)",
        wrong="record",
        turns_red="tests/integration/test_concurrent_records.py",
    ),
    "claims": Fault(
        symbol="ShardClaims.claim",
        right="nx=True",
        wrong="nx=False",
        turns_red="tests/integration/test_feeders.py",
    ),
    "export resume": Fault(
        symbol="Files.holds",
        right="return self._path(part).stat().st_size == wrote.num_bytes",
        wrong="return self._path(part).exists()",
        turns_red="tests/integration/test_export_resume.py",
    ),
    "envelope": Fault(
        symbol="check",
        right="envelope.headers.task != queue or",
        wrong="False and",
        turns_red="tests/faults/test_forged.py",
    ),
    "links": Fault(
        symbol="_folder",
        right="os.open(name, _FOLDER, dir_fd=at)",
        wrong="os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)",
        turns_red="tests/integration/test_folder_links.py",
    ),
    "copied clips": Fault(
        symbol="Context.may_upload",
        right="return allowed.covers_open_file(",
        wrong="return True or allowed.covers_open_file(",
        turns_red="tests/integration/test_upload.py",
    ),
    "refused clips": Fault(
        symbol="Buckets.fetch",
        right="raise SourceDenied(str(error))",
        wrong="raise ClipMissing(str(error))",
        turns_red="tests/integration/test_refused_sources.py",
    ),
    "replaced clips": Fault(
        symbol="_copy",
        right="if_match=info.etag",
        wrong="if_match=None",
        turns_red="tests/integration/test_refused_sources.py",
    ),
    "limits": Fault(
        symbol="Guard.frame_size",
        right="if width * height > self.limits.max_frame_pixels:",
        wrong="if False:",
        turns_red="tests/integration/test_limits.py",
    ),
}


def plant(fault: Fault, tree: Path) -> Path:
    """Change the code below `tree`; returns the file. Raises LookupError, see `find`."""
    path, lines = find(fault, tree)
    source = path.read_text().splitlines(keepends=True)
    definition = "".join(source[lines.start : lines.stop])
    changed = definition.replace(fault.right, fault.wrong)
    path.write_text("".join([*source[: lines.start], changed, *source[lines.stop :]]))
    return path


def find(fault: Fault, tree: Path) -> tuple[Path, range]:
    """Where a fault is to be planted: the file, and the lines of the definition, from 0.

    Raises LookupError unless just one definition of that name holds what is to be changed, once.
    """
    found = []
    for package in PACKAGES:
        for path in sorted((tree / package).rglob("*.py")):
            source = path.read_text()
            for lines in _definitions(source, fault.symbol) if fault.right in source else ():
                text = "\n".join(source.splitlines()[lines.start : lines.stop])
                if text.count(fault.right) == 1:
                    found.append((path, lines))
    if len(found) != 1:
        raise LookupError(f"{fault.right!r} stands in {len(found)} definitions of {fault.symbol}")
    return found[0]


def _definitions(source: str, symbol: str) -> list[range]:
    """The lines of each function, class or method of this name."""
    nodes: list[ast.AST] = [parsed(source)]
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for name in symbol.split("."):
        within = [child for node in nodes for child in ast.walk(node) if child is not node]
        nodes = [node for node in within if isinstance(node, kinds) and node.name == name]
    return [
        range(node.lineno - 1, node.end_lineno or node.lineno)
        for node in nodes
        if isinstance(node, kinds)
    ]
