-- cluster --
-- Roles of the whole branch. Left out: pg_* and Neon's own. A membership that CREATE ROLE itself made (ADMIN OPTION
-- only, granted by the bootstrap superuser, oid 10) lets the creator manage the role and is no membership to speak of.
SELECT jsonb_build_object(
    'wal_level', pg_catalog.current_setting('wal_level'),
    'roles', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'name', r.rolname,
            'login', r.rolcanlogin,
            'superuser', r.rolsuper,
            'createdb', r.rolcreatedb,
            'createrole', r.rolcreaterole,
            'replication', r.rolreplication,
            'bypassrls', r.rolbypassrls,
            'inherit', r.rolinherit,
            'connection_limit', r.rolconnlimit,
            'valid_until', nullif(r.rolvaliduntil, 'infinity'),
            'comment', pg_catalog.shobj_description(r.oid, 'pg_authid'),
            'settings', coalesce(
                (SELECT to_jsonb(s.setconfig)
                 FROM pg_catalog.pg_db_role_setting AS s
                 WHERE s.setrole = r.oid AND s.setdatabase = 0),
                '[]'),
            'overrides', coalesce(
                (SELECT jsonb_object_agg(d.datname, s.setconfig)
                 FROM pg_catalog.pg_db_role_setting AS s
                 JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
                 WHERE s.setrole = r.oid),
                '{}'),
            'member_of', coalesce(
                (SELECT jsonb_agg(DISTINCT held.rolname)
                 FROM pg_catalog.pg_auth_members AS m
                 JOIN pg_catalog.pg_roles AS held ON held.oid = m.roleid
                 WHERE m.member = r.oid AND (m.inherit_option OR m.set_option OR m.grantor <> 10)),
                '[]')
        ))
        FROM pg_catalog.pg_roles AS r
        WHERE r.rolname !~ '^(pg_|databricks_)'
          AND r.rolname NOT IN ('cloud_admin', 'zenith_admin', 'neon_superuser', 'neon_service')
    ), '[]')
)

-- history --
-- Flyway's record, read only where there is one and where we may: a plain query would fail to parse without it.
-- The empty search_path makes format_type() qualify every type that is not PostgreSQL's own, whoever asks.
DO $neonctl$
DECLARE
    place constant regclass := pg_catalog.to_regclass('public.flyway_schema_history');
    found jsonb;
BEGIN
    IF place IS NOT NULL AND pg_catalog.has_table_privilege(place, 'SELECT') THEN
        SELECT jsonb_agg(jsonb_build_array(h.version, h.type, h.script, h.checksum, h.success)
                         ORDER BY h.installed_rank)
        INTO found
        FROM public.flyway_schema_history AS h;
    END IF;
    IF place IS NOT NULL THEN
        found := coalesce(found, '[]');
    END IF;
    PERFORM pg_catalog.set_config('neonctl.history', coalesce(found::text, ''), true);
    PERFORM pg_catalog.set_config('neonctl.search_path', pg_catalog.current_setting('search_path'), true);
    PERFORM pg_catalog.set_config('search_path', '', true);
END
$neonctl$

-- database --
-- Everything of one database that plan compares. A NULL acl means PostgreSQL's default for that kind of object, so
-- acldefault() stands in for it. What an owner holds on its own objects is not a grant to speak of, but for functions
-- that run as their owner: there it is what an owner may have been denied, and may give back to himself. Neon's own roles
-- are left out: their grants are made by Neon and cannot be taken back (facts.md 5).
WITH neon_role AS (
    SELECT r.oid
    FROM pg_catalog.pg_roles AS r
    WHERE r.rolname ~ '^databricks_'
       OR r.rolname IN ('cloud_admin', 'zenith_admin', 'neon_superuser', 'neon_service')
),
extension_member AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d WHERE d.deptype = 'e'
),
schema AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl,
           CASE WHEN n.nspname ~ '^[a-z_][a-z0-9_$]*$' THEN n.nspname::text
                ELSE '"' || replace(n.nspname, '"', '""') || '"' END AS name
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM extension_member AS e
                      WHERE e.classid = 'pg_catalog.pg_namespace'::regclass AND e.objid = n.oid)
),
relation AS (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, c.relispartition,
           s.name || '.' || CASE WHEN c.relname ~ '^[a-z_][a-z0-9_$]*$' THEN c.relname::text
                                 ELSE '"' || replace(c.relname, '"', '""') || '"' END AS name
    FROM pg_catalog.pg_class AS c
    JOIN schema AS s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM extension_member AS e
                      WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid)
),
creator AS (  -- roles whose default privileges matter here: they own a schema, or have some
    SELECT s.nspowner AS oid FROM schema AS s
    WHERE s.nspname <> 'public' AND s.nspowner NOT IN (SELECT oid FROM neon_role)
    UNION
    SELECT a.defaclrole FROM pg_catalog.pg_default_acl AS a
    WHERE a.defaclrole NOT IN (SELECT oid FROM neon_role)
),
default_kind (objtype, objects) AS (VALUES ('r'::"char", 'tables'), ('S', 'sequences'), ('f', 'functions')),
acl (kind, name, owner, items, oid, part) AS (
    SELECT 'database', d.datname::text, d.datdba, coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba)),
           d.oid, NULL::text
    FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()
    UNION ALL
    SELECT 'schema', s.name, s.nspowner, coalesce(s.nspacl, pg_catalog.acldefault('n', s.nspowner)), s.oid, NULL
    FROM schema AS s
    UNION ALL
    SELECT CASE r.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, r.name, r.relowner,
           coalesce(r.relacl, pg_catalog.acldefault(CASE r.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, r.relowner)),
           r.oid, ''
    FROM relation AS r
    UNION ALL
    SELECT 'column',
           r.name || '.' || CASE WHEN a.attname ~ '^[a-z_][a-z0-9_$]*$' THEN a.attname::text
                                 ELSE '"' || replace(a.attname, '"', '""') || '"' END,
           r.relowner, a.attacl, r.oid, a.attname::text
    FROM relation AS r
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT 'function',
           s.name || '.' || CASE WHEN p.proname ~ '^[a-z_][a-z0-9_$]*$' THEN p.proname::text
                                 ELSE '"' || replace(p.proname, '"', '""') || '"' END
                  || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')',
           p.proowner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)), p.oid,
           CASE WHEN p.prosecdef AND p.prorettype <> 'trigger'::regtype THEN 'definer' END
    FROM pg_catalog.pg_proc AS p
    JOIN schema AS s ON s.oid = p.pronamespace
    WHERE p.oid >= 16384  -- what initdb made has lower numbers: thousands of functions that need not be looked at
      AND NOT EXISTS (SELECT FROM extension_member AS e
                      WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid)
    UNION ALL
    SELECT 'default', o.name || '/*/' || k.objects, c.oid,
           coalesce(a.defaclacl, pg_catalog.acldefault(CASE k.objtype WHEN 'S' THEN 's'::"char" ELSE k.objtype END, c.oid)),
           a.oid, NULL
    FROM creator AS c
    CROSS JOIN default_kind AS k
    CROSS JOIN LATERAL (
        SELECT CASE WHEN u.rolname ~ '^[a-z_][a-z0-9_$]*$' THEN u.rolname::text
                    ELSE '"' || replace(u.rolname, '"', '""') || '"' END AS name
        FROM (SELECT pg_catalog.pg_get_userbyid(c.oid) AS rolname) AS u
    ) AS o
    LEFT JOIN pg_catalog.pg_default_acl AS a
           ON a.defaclrole = c.oid AND a.defaclnamespace = 0 AND a.defaclobjtype = k.objtype
    UNION ALL
    SELECT 'default', o.name || '/' || s.name || '/' || k.objects, a.defaclrole, a.defaclacl, a.oid, NULL
    FROM pg_catalog.pg_default_acl AS a
    JOIN default_kind AS k ON k.objtype = a.defaclobjtype
    JOIN schema AS s ON s.oid = a.defaclnamespace
    CROSS JOIN LATERAL (
        SELECT CASE WHEN u.rolname ~ '^[a-z_][a-z0-9_$]*$' THEN u.rolname::text
                    ELSE '"' || replace(u.rolname, '"', '""') || '"' END AS name
        FROM (SELECT pg_catalog.pg_get_userbyid(a.defaclrole) AS rolname) AS u
    ) AS o
    WHERE a.defaclrole NOT IN (SELECT oid FROM neon_role)
),
granted AS (  -- several grantors may have granted the same thing
    SELECT a.kind, a.name, a.oid, a.part, x.grantee, x.privilege_type AS privilege,
           bool_or(x.is_grantable) AS grantable
    FROM acl AS a
    CROSS JOIN LATERAL pg_catalog.aclexplode(a.items) AS x
    WHERE (x.grantee <> a.owner OR a.part = 'definer') AND x.grantee NOT IN (SELECT oid FROM neon_role)
    GROUP BY a.kind, a.name, a.oid, a.part, x.grantee, x.privilege_type
),
told AS (  -- a partition's grant that its root holds too opens nothing: months come and go without drift
    SELECT g.kind, g.name,
           CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(g.grantee)::text END AS grantee,
           g.privilege, g.grantable
    FROM granted AS g
    WHERE NOT EXISTS (
        SELECT FROM granted AS above
        WHERE g.kind IN ('table', 'column')
          AND g.oid IN (SELECT r.oid FROM relation AS r WHERE r.relispartition)
          AND above.oid = pg_catalog.pg_partition_root(g.oid)
          AND (above.kind, above.part, above.grantee, above.privilege)
              = (g.kind, g.part, g.grantee, g.privilege)
          AND above.grantable >= g.grantable)
),
base_table AS (
    SELECT r.oid, r.name FROM relation AS r WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition
)
SELECT jsonb_build_object(
    'name', d.datname,
    'owner', pg_catalog.pg_get_userbyid(d.datdba),
    'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),
    'schemas', (SELECT jsonb_object_agg(s.nspname, pg_catalog.pg_get_userbyid(s.nspowner)) FROM schema AS s),
    'grants', (SELECT jsonb_agg(jsonb_build_array(t.kind, t.name, t.grantee, t.privilege, t.grantable)) FROM told AS t),
    'tables', (SELECT jsonb_agg(b.name) FROM base_table AS b),
    'tables_without_key', (
        SELECT jsonb_agg(b.name) FROM base_table AS b
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conrelid = b.oid AND k.contype = 'p')),
    'publications', (
        SELECT jsonb_agg(jsonb_build_object(
            'name', p.pubname,
            'owner', pg_catalog.pg_get_userbyid(p.pubowner),
            'all_tables', p.puballtables,
            'whole', (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND p.pubviaroot
                      AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS m
                                      WHERE m.prpubid = p.oid
                                        AND (m.prqual IS NOT NULL OR m.prattrs IS NOT NULL))),
            'tables', (SELECT jsonb_agg(r.name)
                       FROM pg_catalog.pg_publication_rel AS m
                       JOIN relation AS r ON r.oid = m.prrelid
                       WHERE m.prpubid = p.oid)))
        FROM pg_catalog.pg_publication AS p),
    'history', nullif(pg_catalog.current_setting('neonctl.history'), '')::jsonb
)
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()

-- restore --
SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('neonctl.search_path'), true)
