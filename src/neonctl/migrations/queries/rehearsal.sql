-- before --
-- Every relation that is not the system's own. 16384: the first oid that is given after initdb. The counters are of
-- this session, and may still hold what its last transactions did.
SELECT c.oid::pg_catalog.int8, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind::pg_catalog.text,
       c.relfilenode::pg_catalog.int8,
       pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
       + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid >= 16384 AND c.relkind = ANY ('{r,p,i,I,S,v,m,f}') AND n.nspname <> 'pg_toast'

-- now --
-- What this session has locked so far; without a name where the relation is gone again (a rewrite's first copy).
-- Whoever touches a row holds a lock on its table, so the counters come along.
SELECT l.relation::pg_catalog.int8, l.mode, c.relfilenode::pg_catalog.int8,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       pg_catalog.pg_stat_get_xact_tuples_inserted(l.relation) + pg_catalog.pg_stat_get_xact_tuples_updated(l.relation)
       + pg_catalog.pg_stat_get_xact_tuples_deleted(l.relation)
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted AND l.relation >= 16384
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())

-- resolve --
-- The relation of a name, and the table that it is an index of.
SELECT c.oid::pg_catalog.int8, i.indrelid::pg_catalog.int8
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
WHERE c.oid = pg_catalog.to_regclass(%s)

-- invalid --
-- Indexes that are not used: left by a CREATE INDEX CONCURRENTLY that failed.
SELECT n.nspname, c.relname
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid
