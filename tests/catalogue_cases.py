"""One of every kind of object, and every kind of change to one, with the lines that must name it, and no others."""

from __future__ import annotations

SETUP = """
CREATE ROLE cat_reader;
CREATE ROLE cat_writer;
CREATE SCHEMA bank;
CREATE SCHEMA other;
CREATE TYPE bank.status AS ENUM ('OPEN', 'CLOSED');
CREATE TYPE bank.money_pair AS (amount numeric(18, 2), currency text);
CREATE TYPE bank.money_range AS RANGE (subtype = numeric);
CREATE DOMAIN bank.share AS numeric(7, 4) DEFAULT 100 CONSTRAINT share_positive CHECK (VALUE > 0);
CREATE SEQUENCE bank.numbers;
CREATE TABLE bank.customers (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE bank.accounts (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT accounts_pkey PRIMARY KEY,
    customer bigint NOT NULL CONSTRAINT accounts_customer_fkey REFERENCES bank.customers,
    balance numeric(18, 2) NOT NULL DEFAULT 0,
    share bank.share,
    status bank.status NOT NULL DEFAULT 'OPEN',
    note text,
    doubled numeric GENERATED ALWAYS AS (balance * 2) STORED,
    CONSTRAINT accounts_balance CHECK (balance >= 0)
);
CREATE INDEX accounts_customer ON bank.accounts (customer);
CREATE TABLE bank.postings (day date NOT NULL, amount numeric NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE bank.postings_2026 PARTITION OF bank.postings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW bank.open_accounts AS SELECT id, balance FROM bank.accounts WHERE status = 'OPEN';
CREATE MATERIALIZED VIEW bank.totals AS SELECT sum(balance) AS total FROM bank.accounts;
CREATE FUNCTION bank.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.note := 'touched';
    RETURN new;
END $$;
CREATE FUNCTION bank.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN n * 2;
CREATE PROCEDURE bank.settle() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE bank.total (numeric) (SFUNC = numeric_add, STYPE = numeric, INITCOND = '0');
CREATE OPERATOR bank.=== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq);
CREATE TRIGGER accounts_touch BEFORE UPDATE ON bank.accounts FOR EACH ROW EXECUTE FUNCTION bank.touch();
CREATE RULE customers_stay AS ON DELETE TO bank.customers DO INSTEAD NOTHING;
CREATE POLICY accounts_open ON bank.accounts USING (status = 'OPEN');
CREATE STATISTICS bank.accounts_stats ON customer, status FROM bank.accounts;
CREATE PUBLICATION cat_changes FOR TABLE bank.accounts;
CREATE COLLATION bank.bytewise FROM "C";
CREATE TEXT SEARCH CONFIGURATION bank.words (COPY = simple);
GRANT SELECT ON bank.accounts TO cat_reader;
CREATE FUNCTION bank.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
ALTER DEFAULT PRIVILEGES IN SCHEMA bank GRANT SELECT ON TABLES TO cat_reader;
"""

A = "bank.accounts"

#: What is changed, and every difference that may follow, as ``object / property`` (``+`` made, ``-`` gone).
CASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # schemas
    ("CREATE SCHEMA new", ("+ schema new",)),
    ("ALTER SCHEMA other OWNER TO cat_writer", ("schema other / owner",)),
    ("GRANT USAGE ON SCHEMA bank TO cat_reader", ("schema bank / grant to cat_reader",)),
    ("COMMENT ON SCHEMA bank IS 'x'", ("schema bank / comment",)),
    ("COMMENT ON SCHEMA public IS 'x'", ("schema public / comment",)),
    # tables
    ("CREATE TABLE bank.new (id int PRIMARY KEY)", ("+ table bank.new",)),
    ("DROP TABLE bank.postings_2026", ("- table bank.postings_2026",)),
    (f"ALTER TABLE {A} OWNER TO cat_writer", (f"table {A} / owner", "sequence bank.accounts_id_seq / owner")),
    ("ALTER TABLE bank.postings_2026 SET UNLOGGED", ("table bank.postings_2026 / unlogged",)),
    (f"ALTER TABLE {A} SET (fillfactor = 70)", (f"table {A} / options",)),
    (f"ALTER TABLE {A} SET (toast.autovacuum_enabled = off)", (f"table {A} / TOAST options",)),
    (f"ALTER TABLE {A} ENABLE ROW LEVEL SECURITY", (f"table {A} / row security",)),
    (f"ALTER TABLE {A} FORCE ROW LEVEL SECURITY", (f"table {A} / row security",)),
    (f"ALTER TABLE {A} REPLICA IDENTITY FULL", (f"table {A} / replica identity",)),
    (
        f"ALTER TABLE {A} REPLICA IDENTITY USING INDEX accounts_pkey",
        (f"table {A} / replica identity",),
    ),
    (f"COMMENT ON TABLE {A} IS 'x'", (f"table {A} / comment",)),
    (f"GRANT INSERT ON {A} TO cat_writer", (f"table {A} / grant to cat_writer",)),
    (f"GRANT SELECT ON {A} TO cat_reader WITH GRANT OPTION", (f"table {A} / grant to cat_reader",)),
    (f"GRANT SELECT ON {A} TO PUBLIC", (f"table {A} / grant to PUBLIC",)),
    (f"REVOKE SELECT ON {A} FROM cat_reader", (f"table {A} / grant to cat_reader",)),
    (f"REVOKE DELETE ON {A} FROM CURRENT_USER", (f"table {A} / grant to postgres",)),
    ("REVOKE ALL ON bank.customers FROM CURRENT_USER", ("table bank.customers / grant to owner",)),
    (
        "ALTER TABLE bank.postings DETACH PARTITION bank.postings_2026",
        (
            "table bank.postings_2026 / partition bound",
            "table bank.postings_2026 / partition of",
            "column bank.postings_2026.day / inherited",
            "column bank.postings_2026.amount / inherited",
        ),
    ),
    ("ALTER TABLE bank.postings_2026 SET SCHEMA other", ("- table bank.postings_2026", "+ table other.postings_2026")),
    # columns
    (f"ALTER TABLE {A} ADD extra text", (f"+ column {A}.extra", f"table {A} / columns")),
    (f"ALTER TABLE {A} DROP note", (f"- column {A}.note", f"table {A} / columns")),
    (
        f"ALTER TABLE {A} DROP note; ALTER TABLE {A} ADD note text",
        (f"table {A} / columns",),
    ),
    (f"ALTER TABLE {A} RENAME note TO remark", (f"- column {A}.note", f"+ column {A}.remark", f"table {A} / columns")),
    (f"ALTER TABLE {A} ALTER note TYPE varchar(20)", (f"column {A}.note / type",)),
    (f'ALTER TABLE {A} ALTER note TYPE text COLLATE "C"', (f"column {A}.note / collation",)),
    (f"ALTER TABLE {A} ALTER customer DROP NOT NULL", (f"column {A}.customer / not null",)),
    (f"ALTER TABLE {A} ALTER note SET NOT NULL", (f"column {A}.note / not null",)),
    (
        f"ALTER TABLE {A} ADD CONSTRAINT has_note NOT NULL note",
        (f"column {A}.note / not null", f"column {A}.note / not null constraint"),
    ),
    (f"ALTER TABLE {A} ALTER balance SET DEFAULT 1", (f"column {A}.balance / default",)),
    (f"ALTER TABLE {A} ALTER balance DROP DEFAULT", (f"column {A}.balance / default",)),
    (f"ALTER TABLE {A} ALTER doubled SET EXPRESSION AS (balance * 3)", (f"column {A}.doubled / generated stored",)),
    (
        f"ALTER TABLE {A} ALTER doubled DROP EXPRESSION",
        (f"column {A}.doubled / generated stored",),
    ),
    (f"ALTER TABLE {A} ALTER id SET GENERATED BY DEFAULT", (f"column {A}.id / identity",)),
    (f"ALTER TABLE {A} ALTER note SET STORAGE EXTERNAL", (f"column {A}.note / storage",)),
    (f"ALTER TABLE {A} ALTER note SET COMPRESSION pglz", (f"column {A}.note / compression",)),
    (f"ALTER TABLE {A} ALTER note SET STATISTICS 500", (f"column {A}.note / statistics target",)),
    (f"ALTER TABLE {A} ALTER note SET (n_distinct = 5)", (f"column {A}.note / options",)),
    (f"COMMENT ON COLUMN {A}.note IS 'x'", (f"column {A}.note / comment",)),
    (f"GRANT UPDATE (note) ON {A} TO cat_writer", (f"column {A}.note / grant to cat_writer",)),
    # constraints
    (f"ALTER TABLE {A} DROP CONSTRAINT accounts_balance", (f"- constraint {A}.accounts_balance",)),
    (f"ALTER TABLE {A} ADD CONSTRAINT c CHECK (balance < 9) NOT VALID", (f"+ constraint {A}.c",)),
    (
        f"ALTER TABLE {A} ALTER CONSTRAINT accounts_customer_fkey DEFERRABLE",
        (f"constraint {A}.accounts_customer_fkey / definition",),
    ),
    (
        f"ALTER TABLE {A} ALTER CONSTRAINT accounts_customer_fkey NOT ENFORCED",
        (f"constraint {A}.accounts_customer_fkey / definition",),
    ),
    (f"COMMENT ON CONSTRAINT accounts_balance ON {A} IS 'x'", (f"constraint {A}.accounts_balance / comment",)),
    (
        f"ALTER TABLE {A} DISABLE TRIGGER ALL",
        (f"trigger {A}.accounts_touch / enabled", f"constraint {A}.accounts_customer_fkey / checks"),
    ),
    # indexes
    (f"CREATE INDEX extra ON {A} (note) WHERE note <> ''", (f"+ index {A}.extra",)),
    ("DROP INDEX bank.accounts_customer", (f"- index {A}.accounts_customer",)),
    ("ALTER INDEX bank.accounts_customer SET (fillfactor = 60)", (f"index {A}.accounts_customer / definition",)),
    (f"CLUSTER {A} USING accounts_pkey", (f"index {A}.accounts_pkey / clustered",)),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bank.accounts_customer'::regclass",
        (f"index {A}.accounts_customer / invalid",),
    ),
    ("COMMENT ON INDEX bank.accounts_customer IS 'x'", (f"index {A}.accounts_customer / comment",)),
    # triggers, rules, policies
    (
        f"CREATE TRIGGER t2 AFTER INSERT ON {A} FOR EACH ROW EXECUTE FUNCTION bank.touch()",
        (f"+ trigger {A}.t2",),
    ),
    (f"ALTER TABLE {A} DISABLE TRIGGER accounts_touch", (f"trigger {A}.accounts_touch / enabled",)),
    (f"ALTER TABLE {A} ENABLE ALWAYS TRIGGER accounts_touch", (f"trigger {A}.accounts_touch / enabled",)),
    (
        f"CREATE OR REPLACE TRIGGER accounts_touch BEFORE UPDATE OF note ON {A} FOR EACH ROW EXECUTE FUNCTION bank.touch()",
        (f"trigger {A}.accounts_touch / definition",),
    ),
    (f"COMMENT ON TRIGGER accounts_touch ON {A} IS 'x'", (f"trigger {A}.accounts_touch / comment",)),
    ("DROP RULE customers_stay ON bank.customers", ("- rule bank.customers.customers_stay",)),
    ("ALTER TABLE bank.customers DISABLE RULE customers_stay", ("rule bank.customers.customers_stay / enabled",)),
    (f"ALTER POLICY accounts_open ON {A} USING (true)", (f"policy {A}.accounts_open / using",)),
    (f"ALTER POLICY accounts_open ON {A} WITH CHECK (true)", (f"policy {A}.accounts_open / check",)),
    (f"ALTER POLICY accounts_open ON {A} TO cat_reader", (f"policy {A}.accounts_open / roles",)),
    (f"CREATE POLICY p2 ON {A} AS RESTRICTIVE FOR DELETE USING (true)", (f"+ policy {A}.p2",)),
    (f"DROP POLICY accounts_open ON {A}", (f"- policy {A}.accounts_open",)),
    # views
    (
        f"CREATE OR REPLACE VIEW bank.open_accounts AS SELECT id, balance FROM {A}",
        ("view bank.open_accounts / definition",),
    ),
    ("ALTER VIEW bank.open_accounts SET (security_barrier)", ("view bank.open_accounts / options",)),
    ("ALTER VIEW bank.open_accounts SET (security_invoker = true)", ("view bank.open_accounts / options",)),
    ("GRANT SELECT ON bank.open_accounts TO cat_writer", ("view bank.open_accounts / grant to cat_writer",)),
    ("COMMENT ON VIEW bank.open_accounts IS 'x'", ("view bank.open_accounts / comment",)),
    ("REFRESH MATERIALIZED VIEW bank.totals WITH NO DATA", ("materialized view bank.totals / not populated",)),
    ("DROP MATERIALIZED VIEW bank.totals", ("- materialized view bank.totals",)),
    # functions
    (
        "CREATE OR REPLACE FUNCTION bank.touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END $$",
        ("function bank.touch() / definition",),
    ),
    ("ALTER FUNCTION bank.touch() SECURITY DEFINER", ("function bank.touch() / definition",)),
    ("ALTER FUNCTION bank.touch() SET search_path = bank, pg_temp", ("function bank.touch() / definition",)),
    ("ALTER FUNCTION bank.twice(integer) COST 5", ("function bank.twice(integer) / definition",)),
    ("ALTER FUNCTION bank.twice(integer) OWNER TO cat_writer", ("function bank.twice(integer) / owner",)),
    (
        "REVOKE EXECUTE ON FUNCTION bank.twice(integer) FROM PUBLIC",
        ("function bank.twice(integer) / grant to PUBLIC",),
    ),
    (
        "GRANT EXECUTE ON FUNCTION bank.twice(integer) TO cat_reader",
        ("function bank.twice(integer) / grant to cat_reader",),
    ),
    ("COMMENT ON FUNCTION bank.twice(integer) IS 'x'", ("function bank.twice(integer) / comment",)),
    (
        "CREATE FUNCTION bank.twice(n text) RETURNS text LANGUAGE sql RETURN n || n",
        ("+ function bank.twice(text)",),
    ),
    ("DROP PROCEDURE bank.settle()", ("- procedure bank.settle()",)),
    (
        "CREATE OR REPLACE AGGREGATE bank.total (numeric) (SFUNC = numeric_add, STYPE = numeric, INITCOND = '1')",
        ("aggregate bank.total(numeric) / definition",),
    ),
    # sequences
    ("ALTER SEQUENCE bank.numbers INCREMENT 5", ("sequence bank.numbers / definition",)),
    ("ALTER SEQUENCE bank.numbers CYCLE", ("sequence bank.numbers / definition",)),
    (f"ALTER SEQUENCE bank.numbers OWNED BY {A}.note", ("sequence bank.numbers / owned by",)),
    ("GRANT USAGE ON SEQUENCE bank.numbers TO cat_writer", ("sequence bank.numbers / grant to cat_writer",)),
    ("COMMENT ON SEQUENCE bank.numbers IS 'x'", ("sequence bank.numbers / comment",)),
    ("SELECT nextval('bank.numbers')", ()),  # a value drawn is no change of the catalogue
    # types
    ("ALTER TYPE bank.status ADD VALUE 'FROZEN' BEFORE 'CLOSED'", ("type bank.status / labels",)),
    (
        "ALTER TYPE bank.status RENAME VALUE 'OPEN' TO 'LIVE'",
        (
            "type bank.status / labels",
            f"column {A}.status / default",
            f"policy {A}.accounts_open / using",
            "view bank.open_accounts / definition",
        ),
    ),
    (
        "ALTER TYPE bank.money_pair ADD ATTRIBUTE at date",
        ("type bank.money_pair / columns", "+ column bank.money_pair.at"),
    ),
    ("ALTER TYPE bank.money_pair ALTER ATTRIBUTE amount TYPE int", ("column bank.money_pair.amount / type",)),
    ("ALTER DOMAIN bank.share DROP CONSTRAINT share_positive", ("- constraint bank.share.share_positive",)),
    ("ALTER DOMAIN bank.share SET DEFAULT 50", ("domain bank.share / default",)),
    (
        "ALTER DOMAIN bank.share SET NOT NULL",
        ("domain bank.share / not null", "+ constraint bank.share.share_not_null"),
    ),
    ("REVOKE USAGE ON TYPE bank.status FROM PUBLIC", ("type bank.status / grant to PUBLIC",)),
    ("COMMENT ON TYPE bank.status IS 'x'", ("type bank.status / comment",)),
    ("DROP TYPE bank.money_range", ("- type bank.money_range",)),
    # publications
    ("ALTER PUBLICATION cat_changes SET (publish = 'insert')", ("publication cat_changes / publishes",)),
    ("ALTER PUBLICATION cat_changes SET (publish_via_partition_root)", ("publication cat_changes / via root",)),
    ("ALTER PUBLICATION cat_changes ADD TABLE bank.customers", ("publication cat_changes / table bank.customers",)),
    (
        f"ALTER PUBLICATION cat_changes SET TABLE {A} (id, balance)",
        (f"publication cat_changes / table {A}",),
    ),
    (
        f"ALTER PUBLICATION cat_changes SET TABLE {A} WHERE (id > 5)",
        (f"publication cat_changes / table {A}",),
    ),
    ("ALTER PUBLICATION cat_changes ADD TABLES IN SCHEMA other", ("publication cat_changes / schema other",)),
    # default privileges
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA bank GRANT INSERT ON TABLES TO cat_writer",
        ("default privileges of postgres in bank on tables / grant to cat_writer",),
    ),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA bank REVOKE SELECT ON TABLES FROM cat_reader",
        ("- default privileges of postgres in bank on tables",),
    ),
    (
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        ("+ default privileges of postgres on functions",),
    ),
    # the rest
    ("ALTER STATISTICS bank.accounts_stats SET STATISTICS 300", ("statistics bank.accounts_stats / target",)),
    ("DROP STATISTICS bank.accounts_stats", ("- statistics bank.accounts_stats",)),
    ("CREATE COLLATION bank.german (provider = libc, locale = 'POSIX')", ("+ collation bank.german",)),
    ("COMMENT ON COLLATION bank.bytewise IS 'x'", ("collation bank.bytewise / comment",)),
    (
        "ALTER OPERATOR bank.=== (integer, integer) SET (RESTRICT = eqsel)",
        ("operator bank.===(integer,integer) / definition",),
    ),
    (
        "ALTER TEXT SEARCH CONFIGURATION bank.words DROP MAPPING FOR email",
        ("text search configuration bank.words / definition",),
    ),
    ("CREATE CAST (bank.money_pair AS text) WITH INOUT", ("+ cast (bank.money_pair AS pg_catalog.text)",)),
    ("CREATE EXTENSION file_fdw", ("+ extension file_fdw",)),
    ("CREATE FOREIGN DATA WRAPPER w", ("+ foreign-data wrapper w",)),
    ("ALTER ROLE cat_reader SET work_mem = '8MB'", ("+ settings of role cat_reader",)),
    (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 128', current_database()); END $$",
        ("+ settings in this database",),
    ),
    (
        "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO cat_reader', current_database()); END $$",
        ("this database / grant to cat_reader",),
    ),
    (
        "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'x'); END $$",
        ("this database / comment",),
    ),
    (
        "CREATE FUNCTION public.neonctl_evidence_of_mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ("+ function public.neonctl_evidence_of_mine()",),
    ),
    ("CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION bank.on_ddl()", ("+ event trigger e",)),
)
