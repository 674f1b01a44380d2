"""postgresql.conf and pg_hba.conf of a local cluster, written anew before each start."""

from __future__ import annotations

import sys
from dataclasses import dataclass

SUPERUSER = "cloud_admin"
SOCKET_PORT = 5432  # part of the socket's name only: clusters don't listen on TCP


@dataclass(frozen=True)
class ClusterSettings:
    """What may differ from one start to the next."""

    max_connections: int = 104  # a compute of 0.25 CU (facts.md 4)
    wal_logical: bool = False
    replication_workers: bool = True  # False: subscriptions stay still


# No TCP: the only ways in are the compute's ports, which end TLS, and this private socket. Everybody has to
# give a password, the superuser too, so that what reaches the socket through a port gains nothing by it.
HBA = """\
local all all scram-sha-256
local replication all scram-sha-256
"""

# scram_iterations: they slow down whoever guesses a person's password. Here passwords are random, the socket is
# private, and every login of a command pays for them.
# log_min_messages = fatal: an ERROR may quote the statement it stands in, and statements carry passwords.
_FIXED = """\
listen_addresses = ''
unix_socket_permissions = 0700
port = 5432
password_encryption = 'scram-sha-256'
scram_iterations = 128
superuser_reserved_connections = 7
timezone = 'GMT'
log_timezone = 'GMT'
datestyle = 'iso, mdy'
lc_messages = 'C'
lc_monetary = 'C.UTF-8'
lc_numeric = 'C.UTF-8'
lc_time = 'C.UTF-8'
default_text_search_config = 'pg_catalog.english'
shared_buffers = '16MB'
huge_pages = off
jit = off
max_wal_senders = 10
max_replication_slots = 10
max_worker_processes = 8
fsync = on
synchronous_commit = on
wal_init_zero = off
min_wal_size = '2MB'
max_wal_size = '1GB'
wal_sender_timeout = '60s'
wal_receiver_create_temp_slot = off
idle_replication_slot_timeout = 0
log_destination = 'stderr'
logging_collector = off
log_min_messages = fatal
log_min_error_statement = panic
log_statement = none
log_parameter_max_length = 0
log_checkpoints = off
log_line_prefix = '%m [%p] '
update_process_title = off
"""
_SINCE_18 = ("idle_replication_slot_timeout",)


def postgresql_conf(settings: ClusterSettings, *, socket_folder: str, major: int) -> str:
    """The whole postgresql.conf. ``socket_folder`` must be absolute."""
    fixed = "".join(line + "\n" for line in _FIXED.splitlines() if major >= 18 or not line.startswith(_SINCE_18))
    lines = [
        f"max_connections = {settings.max_connections}",
        f"wal_level = {'logical' if settings.wal_logical else 'replica'}",
        f"unix_socket_directories = '{socket_folder.replace(chr(39), chr(39) * 2)}'",
    ]
    if not settings.replication_workers:
        lines.append("max_logical_replication_workers = 0")
    if major >= 18:
        lines.append("io_method = sync")  # no I/O worker processes per branch
    if sys.platform.startswith("linux"):
        lines.append("recovery_init_sync_method = syncfs")  # one call instead of thousands
    return fixed + "\n".join(lines) + "\n"
