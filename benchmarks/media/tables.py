"""The figures that most readers want to see, a line for each clip."""

from rich.table import Table

from benchmarks.report import Row

# Title, then heading and figure of each column.
_BY_CLIP: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "CPU seconds; the peer's over ours, in all and of each part; ours over the decode",
        (
            ("peer", "cpu_s_peer"),
            ("ours", "cpu_s_ours"),
            ("decode", "cpu_s_floor"),
            ("peer÷", "cpu_ratio_vs_peer"),
            ("frames", "cpu_ratio_vs_peer_frames"),
            ("previews", "cpu_ratio_vs_peer_previews"),
            ("÷decode", "cpu_ratio_vs_floor"),
        ),
    ),
    (
        "peak MB; previews in kB, and their likeness to the source (SSIM)",
        (
            ("MB", "peak_mb"),
            ("peer", "peak_mb_peer"),
            ("ffmpeg", "peak_mb_peer_ffmpeg"),
            ("kB", "preview_kb"),
            ("peer", "preview_kb_peer"),
            ("SSIM", "preview_ssim"),
            ("peer", "preview_ssim_peer"),
        ),
    ),
)
_BY_ENCODING = (
    "packs of 16 frames, by encoding",
    (("write, CPU ms", "pack_write_ms"), ("read, CPU ms", "pack_read_ms"), ("MB", "pack_mb")),
)


def tables(rows: list[Row], *, clips: list[str], encodings: tuple[str, ...]) -> list[Table]:
    """A table for each subject that anything was measured of."""
    values = {row.name: row.value for row in rows}
    made = [_table(title, columns, clips, values) for title, columns in _BY_CLIP]
    made.append(_table(*_BY_ENCODING, list(encodings), values))
    return [table for table in made if table.row_count]


def _table(
    title: str, columns: tuple[tuple[str, str], ...], lines: list[str], values: dict[str, float]
) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="dim")
    table.padding = (0, 1, 0, 0)
    table.min_width = len(title)  # or the title is broken to the width of the columns
    table.add_column("")
    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        cells = [values.get(f"{figure}/{line}") for _, figure in columns]
        if any(cell is not None for cell in cells):
            table.add_row(line, *("" if cell is None else f"{cell:,.3g}" for cell in cells))
    return table
