"""Which names in folders and buckets are hidden: dot files, and what systems leave there."""

# What systems, NAS boxes and archivers leave beside files, without a dot.
_OTHERS = frozenset(
    {
        "__macosx",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "found.000",
        "lost+found",
        "system volume information",
    }
)


def is_hidden(name: str) -> bool:
    """Whether a file or a folder of this name, and all below it, is passed over."""
    if name.startswith("."):
        return name not in (".", "..")  # which in a key are names too, that cannot be asked for
    return name.lower() in _OTHERS
