"""All rules of our own, in one place. squawk brings others, named ``squawk/…``.

An ``error`` is refused by the runner before anything runs; the rest is said by ``neonctl migrate lint`` only.
"""

from __future__ import annotations

from neonctl.migrations.lint.finding import Rule

FILE_NAMES = Rule(
    "file-names",
    "error",
    "A misnamed file, a missing or orphaned twin, a version twice, a gap, text that is not UTF-8",
    "A migration is V001__description.sql with its twin U001__description_rollback.sql, without gaps; "
    "one that is run again whenever it changes is R__description.sql.",
)
SYNTAX = Rule(
    "syntax",
    "error",
    "What PostgreSQL's parser does not accept, bodies of functions included",
    "PostgreSQL would refuse the file as it stands; correct it.",
)
PSQL_COMMAND = Rule(
    "psql-command",
    "error",
    "A backslash command of psql",
    "The file is sent to the server as it stands; write it in SQL.",
)
PLACEHOLDER = Rule(
    "placeholder",
    "error",
    "`${`, which Flyway would replace",
    "Flyway would look for a value; write it differently, '$' || '{' for one.",
)
TRANSACTION = Rule(
    "transaction-statement",
    "error",
    "BEGIN, COMMIT, ROLLBACK, SAVEPOINT …, in DO blocks and functions as well",
    "Remove it: each file runs in one transaction together with its record, which neonctl begins and ends.",
)
SET_ROLE = Rule(
    "set-role",
    "error",
    "SET ROLE, SET SESSION AUTHORIZATION, set_config of either, in DO blocks as well",
    "Remove it: the migrate role runs every file and owns what migrations make.",
)
CLIENT_COPY = Rule(
    "client-copy",
    "error",
    "COPY FROM STDIN or TO STDOUT",
    "Migrations have no client data: use INSERT, or load the data elsewhere.",
)
SEARCH_PATH = Rule(
    "definer-search-path",
    "error",
    "SECURITY DEFINER without SET search_path that ends with pg_temp",
    "Add SET search_path = schema, pg_temp to the same statement, pg_temp last: else a caller's temporary objects "
    "stand in for the function's own, with its owner's rights.",
)
UNBOUNDED_WRITE = Rule(
    "unbounded-write",
    "error",
    "UPDATE or DELETE without WHERE, or with one that is the same for every row; also in WITH and in bodies",
    "Add a WHERE, or say that every row is meant with the line `-- neonctl: all-rows` directly above.",
)
OWN_RECORD = Rule(
    "own-record",
    "error",
    "A name of neonctl's or Flyway's record of migrations",
    "Remove it: what was applied is written by the tools alone, or nobody can trust it; `neonctl migrate repair` and "
    "`baseline` change it, on record.",
)
NOT_IN_TRANSACTION = Rule(
    "not-in-transaction",
    "error",
    "A statement that cannot run in a transaction, in a file that runs in one",
    "Give it a migration of its own that begins with the line `-- neonctl: non-transactional`.",
)
NON_TRANSACTIONAL_FILE = Rule(
    "non-transactional-file",
    "error",
    "A file marked non-transactional that is not one such statement",
    "A file marked non-transactional holds one statement, which cannot run in a transaction, so that a run that "
    "broke off can go on; everything else belongs into a migration without the mark.",
)
MARKER = Rule(
    "marker",
    "error",
    "A mark that nobody understands, or that stands where it has no effect",
    "A mark stands alone on a line: `-- neonctl: non-transactional` or `-- neonctl: loses-data REASON` before the "
    "first statement, `-- neonctl: all-rows` directly above an UPDATE or DELETE.",
)
IDLE_MARKER = Rule(
    "idle-marker",
    "warning",
    "A mark for all rows above no UPDATE or DELETE of all rows",
    "Remove the mark, or put it directly above the UPDATE or DELETE it means.",
)
PLPGSQL = Rule(
    "plpgsql",
    "warning",
    "A body of which the parser, which knows no tables, makes less than the server would",
    "Only part of the rules could be applied to this body. `neonctl migrate prove` runs it against a real server.",
)
PROCEDURE_COMMITS = Rule(
    "procedure-commits",
    "warning",
    "COMMIT or ROLLBACK in a procedure",
    "No migration can call it, and whoever calls it must not be in a transaction; make sure that this is meant.",
)
ROLE_IN_ROUTINE = Rule(
    "role-in-routine",
    "warning",
    "A function or procedure that changes the role",
    "Let the function run with its owner's rights (SECURITY DEFINER) or its caller's.",
)
EMPTY = Rule(
    "empty",
    "warning",
    "A file without a statement",
    "Write the migration, or remove file and twin while nobody has applied it.",
)
NOT_TAKEN_BACK = Rule(
    "not-taken-back",
    "note",
    "Something that V makes and U does not drop",
    "Undo it in the U file; `neonctl migrate prove` shows whether undoing leaves things as they were.",
)

RULES = (
    FILE_NAMES,
    SYNTAX,
    PSQL_COMMAND,
    PLACEHOLDER,
    TRANSACTION,
    SET_ROLE,
    CLIENT_COPY,
    SEARCH_PATH,
    UNBOUNDED_WRITE,
    OWN_RECORD,
    NOT_IN_TRANSACTION,
    NON_TRANSACTIONAL_FILE,
    MARKER,
    IDLE_MARKER,
    PLPGSQL,
    PROCEDURE_COMMITS,
    ROLE_IN_ROUTINE,
    EMPTY,
    NOT_TAKEN_BACK,
)
