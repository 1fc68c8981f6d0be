"""Runs a command as closed in as a container with a read-only root and no capabilities is.

In a mount namespace of its own it can write to the folders that are named, and to nothing else.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

# Its arguments: folders to write to, --, folders that become a tmpfs as Docker mounts it, --, and
# the command. What the kernel keeps (/proc, /sys, /dev) is as writable as Docker leaves it.
_SCRIPT = """
set -e
mounts=$(while read -r _ point kind _; do
    case $kind$point in proc*|sysfs*|dev*|cgroup*|mqueue*|*/dev/*) ;; *) echo "$point" ;; esac
done < /proc/self/mounts)
while [ "$1" != -- ]; do mount --bind "$1" "$1"; shift; done
shift
while [ "$1" != -- ]; do
    mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs "$1"
    shift
done
shift
for point in $mounts; do mount -o remount,bind,ro "$point"; done
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- "$@"
"""


@functools.cache
def why_not() -> str | None:
    """Why commands cannot be closed in here; None where they can."""
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return "no unshare or setpriv on this machine"
    tried = subprocess.run(close(["true"]), capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.strip()[:200]}"


def close(
    command: Sequence[str], *, folders: Iterable[Path] = (), tmpfs: Iterable[Path] = ()
) -> list[str]:
    """The command that runs `command` closed in; it stays the same process. All folders exist."""
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    shell = ["unshare", *user, "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "sh"]
    return [*shell, *map(str, folders), "--", *map(str, tmpfs), "--", *command]
