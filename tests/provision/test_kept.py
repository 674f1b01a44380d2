"""Kept connections: those that the server has ended are not handed out again, however late the end is seen."""

from __future__ import annotations

import select

from neonctl.neon.connection import ConnectionTarget
from neonctl.plan.observed import Address
from neonctl.provision.kept import KeptConnections
from neonctl.secret import Secret
from postgres_server import PostgresServer

WAY = ConnectionTarget(Address("compute", 5432), "bank_owner", Secret("secret"), "postgres")


def test_a_connection_that_was_ended_is_replaced(postgres_server: PostgresServer) -> None:
    with KeptConnections() as kept:
        with kept.borrow(WAY, "postgres", postgres_server.connect) as first:
            pid = first.info.backend_pid
        with kept.borrow(WAY, "postgres", postgres_server.connect) as again:
            assert again.info.backend_pid == pid
        with postgres_server.connect() as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        select.select([first.pgconn.socket], [], [])  # its last words are there, whether or not the end is
        with kept.borrow(WAY, "postgres", postgres_server.connect) as new:
            assert new.info.backend_pid != pid
            assert new.execute("SELECT 1").fetchone() == (1,)


def test_where_passwords_were_changed_nothing_is_kept(postgres_server: PostgresServer) -> None:
    """Neon ends the connections some time after it says so."""
    with KeptConnections() as kept:
        kept.ways["br-one", False] = WAY
        with kept.borrow(WAY, "postgres", postgres_server.connect) as first:
            pid = first.info.backend_pid
        kept.forget("br-other")
        with kept.borrow(WAY, "postgres", postgres_server.connect) as again:
            assert again.info.backend_pid == pid
        kept.forget("br-one")
        assert not kept.ways
        with kept.borrow(WAY, "postgres", postgres_server.connect) as new:
            assert new.info.backend_pid != pid
