"""Runs deploy/setup-minio.sh where there is no MinIO: sees what it tells `mc`, and does it in Ceph.

`mc` is a stand-in here, which logs what it is told and answers from that.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.s3_server import S3Server
from tests.support.s3_users import add_user

_MC = """#!{python}
import json, sys
from pathlib import Path
said, log = sys.argv[1:], Path({log!r})
reads = said[:3] in (["admin", "user", "add"], ["ilm", "rule", "import"])
with log.open("a") as file:
    file.write(json.dumps([said, sys.stdin.read() if reads else ""]) + "\\n")
if said[:3] == ["admin", "user", "info"]:
    told = [json.loads(line)[0] for line in log.read_text().splitlines()]
    attached = [t[4] for t in told if t[:3] == ["admin", "policy", "attach"] and t[-1] == said[4]]
    print("PolicyName:", ",".join(attached))
"""


@dataclass
class Setup:
    """What `mc` was told: its command lines, and their effects."""

    command_lines: list[list[str]] = field(default_factory=list)
    buckets: set[str] = field(default_factory=set)
    lifecycles: dict[str, str] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    attached: dict[str, list[str]] = field(default_factory=dict)


def record(script: Path, environment: Mapping[str, str], *, folder: Path) -> Setup:
    """Run the script to its end. Raises ValueError for what it may not tell `mc`."""
    log, program = folder / "mc.log", folder / "mc"
    program.write_text(_MC.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    variables = {**environment, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([str(script)], env=variables, check=True, timeout=60, capture_output=True)
    done = Setup()
    for line in log.read_text().splitlines():
        said, read = json.loads(line)
        done.command_lines.append(said)
        match said:
            case ["mb", "--ignore-existing", bucket]:
                done.buckets.add(_name(bucket))
            case ["ilm", "rule", "import", bucket]:
                done.lifecycles[_name(bucket)] = read
            case ["admin", "policy", "create", "minio", name, file]:
                done.policies[name] = Path(file).read_text()
            case ["admin", "user", "add", "minio"]:
                user, password, _ = read.split("\n")
                done.passwords[user] = password
            case ["admin", "policy", "attach", "minio", policy, "--user", user]:
                done.attached.setdefault(user, []).append(policy)
            case ["admin", "user", "info", "minio", _]:
                pass
            case _:
                raise ValueError(f"mc has no such command: {said}")
    return done


def _name(bucket: str) -> str:
    alias, _, name = bucket.partition("/")
    if alias != "minio":
        raise ValueError(f"{bucket} does not lie where MC_HOST_minio points")
    return name


def apply(done: Setup, server: S3Server) -> None:
    """Make the same buckets and users on the tests' S3 server."""
    for bucket in done.buckets:
        server.store(f"s3://{bucket}").prepare()
    for user, password in done.passwords.items():
        policies = [done.policies[name] for name in done.attached[user]]
        add_user(server, access_key=user, secret_key=password, policies=policies)
