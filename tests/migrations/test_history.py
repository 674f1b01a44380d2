from __future__ import annotations

from pathlib import Path

from neonctl.migrations.files import read_folder
from neonctl.migrations.history import LOCK_KEY
from neonctl.migrations.runner import migrate
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

#: What pg_dump says of a table that real Flyway made.
FLYWAYS_TABLE = """
CREATE TABLE public.flyway_schema_history (
    installed_rank integer NOT NULL,
    version character varying(50),
    description character varying(200) NOT NULL,
    type character varying(20) NOT NULL,
    script character varying(1000) NOT NULL,
    checksum integer,
    installed_by character varying(100) NOT NULL,
    installed_on timestamp without time zone DEFAULT now() NOT NULL,
    execution_time integer NOT NULL,
    success boolean NOT NULL
);
ALTER TABLE public.flyway_schema_history OWNER TO postgres;
ALTER TABLE ONLY public.flyway_schema_history
    ADD CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank);
CREATE INDEX flyway_schema_history_s_idx ON public.flyway_schema_history USING btree (success);
"""


def test_the_table_is_flyways_own(postgres_server: PostgresServer, database: str, tmp_path: Path) -> None:
    (tmp_path / "V001__a.sql").write_text("SELECT 1;")
    (tmp_path / "U001__a_rollback.sql").write_text("SELECT 1;")
    with postgres_server.connect(database) as conn:
        migrate(
            conn,
            database="bank",
            files=read_folder(tmp_path),
            progress=lambda _: None,
            settings=SETTINGS,
            provenance=WHO,
        )
    dump = postgres_server.dump_schema(database, "--table=public.flyway_schema_history")
    noise = ("--", "SET ", "SELECT pg_catalog.set_config", "\\")
    lines = [line for line in dump.splitlines() if line.strip() and not line.startswith(noise)]
    assert lines == FLYWAYS_TABLE.strip().splitlines()


def test_the_lock_is_flyways_own() -> None:
    java_hash = 0
    for character in '"public"."flyway_schema_history"':
        java_hash = (31 * java_hash + ord(character)) & 0xFFFFFFFF
    signed = java_hash - (1 << 32) if java_hash & 0x80000000 else java_hash
    assert LOCK_KEY == int.from_bytes(b"Flyway", "big") + signed == 77433833903597
