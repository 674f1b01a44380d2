-- state --
-- Whether the checker is installed, and whether the server could install it.
SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'plpgsql_check'),
       EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'plpgsql_check')

-- place --
SELECT n.nspname
FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'plpgsql_check'

-- functions --
-- Every function of ours in PL/pgSQL; a trigger's once per table that it is on, since its row has that table's columns.
SELECT p.oid, p.oid::pg_catalog.regprocedure::text, coalesce(t.tgrelid, 0), t.tgrelid::pg_catalog.regclass::text,
       t.tgoldtable, t.tgnewtable
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
LEFT JOIN (SELECT DISTINCT g.tgfoid, g.tgrelid, g.tgoldtable, g.tgnewtable
           FROM pg_catalog.pg_trigger AS g WHERE NOT g.tgisinternal) AS t
       ON t.tgfoid = p.oid
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT (n.nspname = 'public' AND pg_catalog.starts_with(p.proname::text, 'neonctl_evidence'))
  AND (p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype OR t.tgrelid IS NOT NULL)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 2, 4
