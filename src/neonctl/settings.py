"""Environment variables → ``Settings``, read once at the edge and passed down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from neonctl.frozen import frozen
from neonctl.secret import Secret

NEON_API_HOST = "https://console.neon.tech/api/v2"


@frozen
class Settings:
    """What the surroundings say. AWS variables are left to boto3, ``PG*`` to libpq."""

    api_key: Secret | None = None
    api_host: str = NEON_API_HOST  # with /api/v2
    org_id: str | None = None
    local: bool = False  # NEONCTL_TARGET=local
    local_dir: Path = Path(".neonctl")
    config_dir: Path = Path("config")
    db_dir: Path = Path("db")
    no_progress: bool = False
    actor: str | None = None
    key_passphrase: Secret | None = None  # of the key file that signs
    aws_endpoint_url: str | None = None  # set by --local only; otherwise boto3 reads its own variables
    ca_file: Path | None = None  # NEONCTL_CA_FILE; None: certifi's list, as for Neon's own certificates

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read every variable that neonctl itself knows."""
        key, passphrase = environ.get("NEON_API_KEY"), environ.get("NEONCTL_KEY_PASSPHRASE")
        return cls(
            api_key=Secret(key) if key else None,
            api_host=environ.get("NEON_API_HOST", NEON_API_HOST).rstrip("/"),
            org_id=environ.get("NEON_ORG_ID") or None,
            local=environ.get("NEONCTL_TARGET") == "local",
            local_dir=Path(environ.get("NEONCTL_LOCAL_DIR", ".neonctl")),
            config_dir=Path(environ.get("NEONCTL_CONFIG_DIR", "config")),
            db_dir=Path(environ.get("NEONCTL_DB_DIR", "db")),
            no_progress=bool(environ.get("NEONCTL_NO_PROGRESS")),
            actor=environ.get("NEONCTL_ACTOR") or None,
            ca_file=Path(environ["NEONCTL_CA_FILE"]) if environ.get("NEONCTL_CA_FILE") else None,
            key_passphrase=Secret(passphrase) if passphrase else None,
        )

    def with_local_platform(
        self, *, api_url: str, api_key: Secret, org_id: str, aws_endpoint_url: str, ca_file: Path
    ) -> Settings:
        """The same settings, pointed at a running embedded platform."""
        return replace(
            self,
            local=True,
            api_host=api_url,
            api_key=api_key,
            org_id=org_id,
            aws_endpoint_url=aws_endpoint_url,
            ca_file=ca_file,
        )
