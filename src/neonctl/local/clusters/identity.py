"""Starting programs that refuse to run as root.

PostgreSQL and PgBouncer stop when their user id is 0, which it is in most containers. In order of preference:

1. not root: nothing to do;
2. Linux: a user namespace in which our id is seen as that of ``nobody``. Files stay ours, nothing is chmodded,
   no account is made. ``unshare`` does it; where util-linux is too old, a ten-line Python launcher does;
3. otherwise: really become ``nobody``, who then must own the data and be able to read the programs.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from neonctl.errors import ServiceError

NOBODY = 65534
_ENVIRONMENT = {"LANG": "C", "LC_ALL": "C", "PATH": os.defpath}
_LAUNCHER = """
import ctypes, os, sys
user, group = os.geteuid(), os.getegid()
if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):
    sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
for name, text in (("setgroups", "deny"), ("uid_map", f"{N} {user} 1"), ("gid_map", f"{N} {group} 1")):
    with open("/proc/self/" + name, "w") as file:
        file.write(text)
os.execv(sys.argv[1], sys.argv[1:])
""".replace("{N}", str(NOBODY))


@dataclass(frozen=True)
class Identity:
    """Who child programs are: a command that precedes theirs, or a user and group to become."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def spawn(self, argv: list[str], *, folder: Path, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start a server in ``folder``, in a session of its own so that the terminal's Ctrl-C passes it by."""
        return subprocess.Popen(
            [*self.prefix, *argv],
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )

    def run(self, argv: list[str], *, folder: Path) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end; its output is in the result. Blocks: call it in a thread."""
        return subprocess.run(
            [*self.prefix, *argv],
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
            check=False,
        )

    def make_folder(self, folder: Path) -> Path:
        """Create a private folder that the child programs own."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        self.give(folder)
        return folder

    def write_private(self, path: Path, text: str) -> None:
        """Write a file that only the child programs (and root) can read."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        self.give(path)

    def give(self, path: Path) -> None:
        """Make the child programs own a path, where they are somebody else."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def choose_identity() -> Identity:
    """The first of the ways above that works here. Raises ServiceError when root has none."""
    if os.geteuid() != 0:
        return Identity()
    for identity in (*namespace_identities(), as_nobody()):
        if identity is not None and _works(identity):
            return identity
    raise ServiceError(
        "LOCAL_ROOT_REFUSED",
        "PostgreSQL does not run as root, and neither a user namespace nor the user nobody is available here",
        hint="run neonctl as an ordinary user",
    )


def as_nobody() -> Identity | None:
    """The last resort: children become the user ``nobody``."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return None
    return Identity(user=nobody.pw_uid, group=nobody.pw_gid)


def namespace_identities() -> list[Identity]:
    if not sys.platform.startswith("linux"):
        return []
    found: list[Identity] = []
    unshare = shutil.which("unshare")
    if unshare:
        found.append(Identity((unshare, "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")))
    found.append(Identity((sys.executable, "-I", "-S", "-c", _LAUNCHER)))
    return found


def _works(identity: Identity) -> bool:
    program = shutil.which("id", path=os.defpath)
    if program is None:
        return False
    try:
        result = identity.run([program, "-u"], folder=Path("/"))
    except OSError:
        return False
    return result.returncode == 0 and result.stdout.strip() not in {b"", b"0"}
