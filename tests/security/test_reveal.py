"""``reveal()`` is the only way out of a Secret, and the places that use it are few and known."""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src/neonctl"

# Each with the reason why a value must leave its Secret there.
ALLOWED = {
    "banking/signing/keys.py": "the passphrase of a key file",
    "cli/credentials.py": "secrets show and connection-string, with --reveal and on record",
    "cli/github_comment.py": "the Authorization header to GitHub",
    "cli/github_log.py": "masks: the runner must know a value to hide it",
    "cli/platform.py": "local status: the key of this machine's own platform",
    "local/api": "the embedded platform is Neon: it hands out passwords",
    "local/aws": "the embedded platform is AWS: it checks signatures and hands out keys",
    "local/clusters": "the embedded platform's own superuser",
    "local/daemon.py": "the embedded platform's own key",
    "local/front": "the embedded platform's TLS front and its pooler",
    "local/state.py": "the header to the embedded platform's own paths",
    "neon/connection.py": "taking a connection URI apart",
    "neon/transport.py": "the Authorization header",
    "postgres/connect.py": "logging in",
    "postgres/roles.py": "ALTER ROLE … PASSWORD",
    "vault/payload.py": "the JSON of a secret",
    "vault/secrets.py": "storing it",
    "secret.py": "where it is defined",
}


def test_secrets_are_revealed_in_known_places_only():
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"\breveal\(|\._value\b", path.read_text())
    }
    places = {name: [known for known in ALLOWED if name == known or name.startswith(f"{known}/")] for name in found}
    assert [name for name, known in places.items() if not known] == []
    assert set(ALLOWED) == {known for each in places.values() for known in each}  # no place is listed in vain


def test_nobody_prints_values_of_frames():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"show_locals\s*=\s*True|capture_locals\s*=\s*True|rich\.traceback", text), path
