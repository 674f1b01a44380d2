"""Where the embedded platform keeps what, below its data directory."""

from __future__ import annotations

from pathlib import Path

from neonctl.frozen import frozen


@frozen
class Layout:
    """Paths below ``root``. Only what is named here is ever deleted."""

    root: Path

    @property
    def state_file(self) -> Path:
        """Written when the platform is ready, removed when it stops (0600: it holds the key)."""
        return self.root / "platform.json"

    @property
    def daemon_lock(self) -> Path:
        """Locked by the daemon as long as it lives; holds its process id."""
        return self.root / "daemon.lock"

    @property
    def start_lock(self) -> Path:
        """Locked by whoever starts the daemon."""
        return self.root / "start.lock"

    @property
    def log(self) -> Path:
        return self.root / "daemon.log"

    @property
    def old_log(self) -> Path:
        return self.root / "daemon.log.1"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def api_key(self) -> Path:
        return self.root / "api-key"

    @property
    def api_database(self) -> Path:
        return self.root / "api.db"

    @property
    def api_seal(self) -> Path:
        return self.root / "api.seal"

    @property
    def aws_database(self) -> Path:
        return self.root / "aws.db"

    @property
    def aws_seal(self) -> Path:
        return self.root / "aws.seal"

    @property
    def status_key(self) -> Path:
        """Signs the status of Open Bank Resolution where the YAML names no KMS key (0600)."""
        return self.root / "obr-status-key.pem"

    @property
    def limits(self) -> Path:
        return self.root / "limits.json"

    @property
    def faults(self) -> Path:
        return self.root / "faults.json"

    @property
    def engine(self) -> Path:
        return self.root / "engine"

    def folders(self) -> list[Path]:
        """Folders that are the platform's own with all that is in them."""
        return [self.engine]

    def files(self) -> list[Path]:
        """Every file the platform may have made itself beside its folders, SQLite's side files included."""
        databases = [
            Path(f"{path}{suffix}")
            for path in (self.api_database, self.aws_database)
            for suffix in ("", "-wal", "-shm")
        ]
        others = [
            self.state_file,
            self.start_lock,
            self.log,
            self.old_log,
            self.ports,
            self.api_key,
            self.api_seal,
            self.aws_seal,
            self.status_key,
            self.limits,
            self.faults,
            self.daemon_lock,
        ]
        return databases + others + [path.with_suffix(".part") for path in others]
