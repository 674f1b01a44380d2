-- tables --
-- Every table that holds rows, with what tells whether it may have changed since: its file, its columns, and how many
-- rows this transaction touched. As JSON, one table a row. TRUNCATE and rewrites make a new file.
SELECT jsonb_build_array(
           n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
           jsonb_build_array(c.oid, c.relfilenode, a.numbers),
           pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid)
               + pg_stat_get_xact_tuples_deleted(c.oid),
           pg_relation_size(c.oid) > 0,
           a.names)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(a.attname ORDER BY a.attname), '[]') AS names,
           string_agg(a.attnum || ' ' || a.attname, ',' ORDER BY a.attnum) AS numbers
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) AS a
WHERE c.relkind = 'r' AND c.oid >= 16384
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT (n.nspname = 'public' AND c.relname IN ('flyway_schema_history', 'neonctl_evidence'))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND has_table_privilege(c.oid, 'SELECT')
UNION ALL
-- Every sequence, without columns: its last number, and how it counts.
SELECT jsonb_build_array(
           n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), q.seqincrement,
           pg_sequence_last_value(c.oid), false, NULL)
FROM pg_catalog.pg_sequence AS q
JOIN pg_catalog.pg_class AS c ON c.oid = q.seqrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') END AND c.oid >= 16384

-- elapsed --
SELECT round(1000 * extract(epoch FROM clock_timestamp() - transaction_timestamp()))::int

-- clear --
-- Drop what the role owns in every schema that is not the system's, and keep the schemas: they are provisioned.
DO $neonctl$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('DROP %s IF EXISTS %I.%I CASCADE',
                      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                     WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
                      n.nspname, c.relname)
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND c.relowner = current_user::regrole
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND NOT (n.nspname = 'public' AND c.relname IN ('flyway_schema_history', 'neonctl_evidence'))
          -- The parts of a partitioned table and the sequence of an identity column go with the whole.
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                            AND d.objsubid = 0 AND d.deptype IN ('e', 'i', 'a'))
        ORDER BY array_position('{v,m,r,p,f,S,c}'::"char"[], c.relkind)
    LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::pg_catalog.regprocedure)
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        WHERE p.proowner = current_user::regrole AND p.oid >= 16384
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND NOT (n.nspname = 'public' AND p.proname IN ('neonctl_evidence_append', 'neonctl_evidence_refuse'))
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                          WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                            AND d.deptype IN ('e', 'i'))
    LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT format('DROP TYPE IF EXISTS %I.%I CASCADE', n.nspname, t.typname)
        FROM pg_catalog.pg_type AS t
        JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
        WHERE t.typtype IN ('d', 'e', 'r') AND t.typowner = current_user::regrole AND t.oid >= 16384
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                          WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
                            AND d.deptype = 'e')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$neonctl$
