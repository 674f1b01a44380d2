-- pin --
-- What the texts of the listing depend on besides the catalogs. The names of types and tables are written with their
-- schema only while that is not in search_path; constants are written in the session's time zone and formats.
SELECT set_config('search_path', 'pg_catalog', true),
       set_config('quote_all_identifiers', 'off', true),
       set_config('standard_conforming_strings', 'on', true),
       set_config('TimeZone', 'UTC', true),
       set_config('DateStyle', 'ISO, YMD', true),
       set_config('IntervalStyle', 'iso_8601', true),
       set_config('extra_float_digits', '1', true),
       set_config('bytea_output', 'hex', true),
       set_config('jit', 'off', true),  -- from here on only how fast it is planned: no query has many ways to go
       set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('join_collapse_limit', '1', true),
       set_config('enable_mergejoin', 'off', true),
       set_config('enable_memoize', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true)

-- catalogue --
-- One row per property: ``KIND name: PROPERTY = value``. Line feeds and backslashes inside are written \n and \\.
-- Left out: system schemas, members of extensions, Neon's own roles (their grants are Neon's), and the record of
-- migrations itself. Everything a user makes has an oid from 16384 on, except the schema public.
-- A NULL acl is PostgreSQL's default; what an owner holds by default on its own is not worth a line.
WITH extension_member AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
    WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
),
schema AS MATERIALIZED (
    SELECT n.oid, pg_catalog.quote_ident(n.nspname) AS name, n.nspowner, n.nspacl
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND (SELECT m.objid FROM extension_member AS m
           WHERE m.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND m.objid = n.oid) IS NULL
),
relation AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, c.relpersistence, c.reloptions, c.reltoastrelid, c.relam,
           c.reltablespace, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relispartition, c.relpartbound,
           c.reloftype, c.relhasrules, c.relhassubclass,
           s.name || '.' || pg_catalog.quote_ident(c.relname) AS name,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                          WHEN 'c' THEN 'type' WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind
    FROM pg_catalog.pg_class AS c
    JOIN schema AS s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c') AND c.oid >= 16384
      AND NOT (s.name = 'public' AND c.relname IN ('flyway_schema_history', 'neonctl_evidence'))
      AND NOT EXISTS (SELECT FROM extension_member AS m
                      WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid)
),
attribute AS MATERIALIZED (
    SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.atthasdef,
           a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget, a.attoptions,
           a.attfdwoptions, a.attacl, a.attislocal, r.relowner,
           'column ' || r.name || '.' || pg_catalog.quote_ident(a.attname) AS object
    FROM relation AS r
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE r.relkind <> 'S'
),
con AS MATERIALIZED (
    SELECT c.oid, c.conname, c.contype, c.convalidated, c.connoinherit, c.conkey, r.oid AS relid, r.name AS relation,
           'constraint ' || r.name || '.' || pg_catalog.quote_ident(c.conname) AS object
    FROM relation AS r JOIN pg_catalog.pg_constraint AS c ON c.conrelid = r.oid
),
index AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indisvalid, i.indisready, i.indisclustered, i.indisreplident,
           c.relispartition, c.reltablespace,
           'index ' || r.name || '.' || pg_catalog.quote_ident(c.relname) AS object
    FROM relation AS r
    JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
),
function AS MATERIALIZED (
    SELECT p.oid, p.prokind, p.proowner, p.proacl,
           CASE p.prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END
           || s.name || '.' || pg_catalog.quote_ident(p.proname)
           || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS object
    FROM pg_catalog.pg_proc AS p
    JOIN schema AS s ON s.oid = p.pronamespace
    WHERE p.oid >= 16384
      AND NOT (s.name = 'public' AND pg_catalog.starts_with(p.proname::text, 'neonctl_evidence'))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d  -- a range type's constructors come with it
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                        AND d.deptype IN ('e', 'i'))
),
type AS MATERIALIZED (
    SELECT t.oid, t.typtype, t.typowner, t.typacl, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault,
           t.typcollation, s.name || '.' || pg_catalog.quote_ident(t.typname) AS name,
           CASE t.typtype WHEN 'd' THEN 'domain ' ELSE 'type ' END
           || s.name || '.' || pg_catalog.quote_ident(t.typname) AS object
    FROM pg_catalog.pg_type AS t
    JOIN schema AS s ON s.oid = t.typnamespace
    WHERE t.oid >= 16384 AND t.typtype IN ('b', 'c', 'd', 'e', 'r') AND t.typcategory <> 'A'
      AND (t.typrelid = 0 OR EXISTS (SELECT FROM relation AS r WHERE r.oid = t.typrelid AND r.relkind = 'c'))
      AND NOT EXISTS (SELECT FROM extension_member AS m
                      WHERE m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND m.objid = t.oid)
),
domain_check AS MATERIALIZED (
    SELECT c.oid, c.contype, 'constraint ' || t.name || '.' || pg_catalog.quote_ident(c.conname) AS object
    FROM type AS t JOIN pg_catalog.pg_constraint AS c ON c.contypid = t.oid
    WHERE t.typtype = 'd'
),
trigger AS MATERIALIZED (
    SELECT t.oid, t.tgenabled, t.tgisinternal, t.tgconstraint,
           'trigger ' || r.name || '.' || pg_catalog.quote_ident(t.tgname) AS object
    FROM relation AS r JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = r.oid
    WHERE NOT t.tgisinternal OR t.tgenabled <> 'O'
),
policy AS MATERIALIZED (
    SELECT p.oid, p.polcmd, p.polpermissive, p.polroles, p.polqual, p.polwithcheck, p.polrelid,
           'policy ' || r.name || '.' || pg_catalog.quote_ident(p.polname) AS object
    FROM relation AS r JOIN pg_catalog.pg_policy AS p ON p.polrelid = r.oid
),
rule AS MATERIALIZED (
    SELECT w.oid, w.ev_enabled, 'rule ' || r.name || '.' || pg_catalog.quote_ident(w.rulename) AS object
    FROM relation AS r JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = r.oid
    WHERE r.relhasrules AND w.rulename <> '_RETURN'
),
extended_statistics AS MATERIALIZED (
    SELECT x.oid, x.stxowner, x.stxstattarget,
           'statistics ' || s.name || '.' || pg_catalog.quote_ident(x.stxname) AS object
    FROM pg_catalog.pg_statistic_ext AS x JOIN schema AS s ON s.oid = x.stxnamespace
),
publication AS MATERIALIZED (
    SELECT p.oid, p.pubowner, p.puballtables, p.pubviaroot,
           pg_catalog.concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                                CASE WHEN p.pubdelete THEN 'delete' END,
                                CASE WHEN p.pubtruncate THEN 'truncate' END) AS publishes,
           'publication ' || pg_catalog.quote_ident(p.pubname) AS object
    FROM pg_catalog.pg_publication AS p
),
rare AS MATERIALIZED (  -- kinds that few databases have: that they are there, whose they are, and what they say
    SELECT x.classid::pg_catalog.oid AS classid, x.oid, x.owner, x.acl, x.acl_kind, x.definition,
           i.type || ' ' || i.identity AS object
    FROM (
        SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, e.oid, e.extowner,
               NULL::pg_catalog.aclitem[], NULL::"char",
               'version ' || e.extversion || ' in schema ' || e.extnamespace::pg_catalog.regnamespace
        FROM pg_catalog.pg_extension AS e
        UNION ALL
        SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, e.oid, e.evtowner, NULL, NULL,
               'on ' || e.evtevent || coalesce(' when ' || pg_catalog.array_to_string(e.evttags, ', '), '')
               || ' execute ' || e.evtfoid::pg_catalog.regprocedure
               || CASE e.evtenabled WHEN 'O' THEN '' WHEN 'D' THEN ', disabled'
                                    ELSE ', enabled ' || e.evtenabled::text END
        FROM pg_catalog.pg_event_trigger AS e
        UNION ALL
        SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, c.oid, c.collowner, NULL, NULL,
               -- The columns' names differ between versions of PostgreSQL; the version of the library is not ours.
               (pg_catalog.to_jsonb(c) - ARRAY['oid', 'collname', 'collnamespace', 'collowner', 'collversion'])::text
        FROM pg_catalog.pg_collation AS c WHERE c.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, c.oid, c.conowner, NULL, NULL,
               'from ' || pg_catalog.pg_encoding_to_char(c.conforencoding) || ' to '
               || pg_catalog.pg_encoding_to_char(c.contoencoding) || ' by ' || c.conproc
               || CASE WHEN c.condefault THEN ', default' ELSE '' END
        FROM pg_catalog.pg_conversion AS c WHERE c.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid, o.oprowner, NULL, NULL,
               pg_catalog.concat_ws(', ', 'function ' || o.oprcode,
                   'commutator ' || nullif(o.oprcom, 0)::pg_catalog.regoperator,
                   'negator ' || nullif(o.oprnegate, 0)::pg_catalog.regoperator,
                   'restrict ' || nullif(o.oprrest::pg_catalog.oid, 0)::pg_catalog.regproc,
                   'join ' || nullif(o.oprjoin::pg_catalog.oid, 0)::pg_catalog.regproc,
                   CASE WHEN o.oprcanhash THEN 'hashes' END, CASE WHEN o.oprcanmerge THEN 'merges' END)
        FROM pg_catalog.pg_operator AS o WHERE o.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid, o.opcowner, NULL, NULL,
               'for ' || pg_catalog.format_type(o.opcintype, NULL)
               || CASE WHEN o.opcdefault THEN ', default' ELSE '' END
        FROM pg_catalog.pg_opclass AS o WHERE o.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.oid, o.opfowner, NULL, NULL, pg_catalog.concat_ws(', ',
                   (SELECT pg_catalog.string_agg(a.amopstrategy || ' ' || a.amopopr::pg_catalog.regoperator, ', '
                                                 ORDER BY a.amopstrategy, a.amopopr::pg_catalog.regoperator::text)
                    FROM pg_catalog.pg_amop AS a WHERE a.amopfamily = o.oid),
                   (SELECT pg_catalog.string_agg('function ' || p.amprocnum || ' ' || p.amproc, ', '
                                                 ORDER BY p.amprocnum, p.amproc::text)
                    FROM pg_catalog.pg_amproc AS p WHERE p.amprocfamily = o.oid))
        FROM pg_catalog.pg_opfamily AS o WHERE o.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, c.oid, NULL, NULL, NULL,
               CASE c.castcontext WHEN 'e' THEN 'explicit' WHEN 'a' THEN 'on assignment' ELSE 'implicit' END
               || CASE c.castmethod WHEN 'f' THEN ' by ' || c.castfunc::pg_catalog.regprocedure
                                    WHEN 'i' THEN ' by text' ELSE ' without function' END
        FROM pg_catalog.pg_cast AS c
        WHERE c.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d  -- a range type's comes with it
              WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'i')
        UNION ALL
        SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, t.oid, t.cfgowner, NULL, NULL,
               (SELECT pg_catalog.string_agg(m.maptokentype || ' ' || m.mapdict::pg_catalog.regdictionary, ', '
                                             ORDER BY m.maptokentype, m.mapseqno)
                FROM pg_catalog.pg_ts_config_map AS m WHERE m.mapcfg = t.oid)
        FROM pg_catalog.pg_ts_config AS t WHERE t.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, t.oid, t.dictowner, NULL, NULL, t.dictinitoption
        FROM pg_catalog.pg_ts_dict AS t WHERE t.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, t.oid, NULL, NULL, NULL, NULL
        FROM pg_catalog.pg_ts_parser AS t WHERE t.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, t.oid, NULL, NULL, NULL, NULL
        FROM pg_catalog.pg_ts_template AS t WHERE t.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, l.oid, l.lanowner,
               coalesce(l.lanacl, pg_catalog.acldefault('l', l.lanowner)), 'l',
               CASE WHEN l.lanpltrusted THEN 'trusted' ELSE 'untrusted' END
        FROM pg_catalog.pg_language AS l WHERE l.lanispl
        UNION ALL
        SELECT 'pg_catalog.pg_transform'::pg_catalog.regclass, t.oid, NULL, NULL, NULL,
               'from SQL ' || t.trffromsql || ', to SQL ' || t.trftosql
        FROM pg_catalog.pg_transform AS t
        UNION ALL
        SELECT 'pg_catalog.pg_am'::pg_catalog.regclass, a.oid, NULL, NULL, NULL, a.amhandler::text
        FROM pg_catalog.pg_am AS a WHERE a.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, f.oid, f.fdwowner, f.fdwacl, 'F',
               pg_catalog.concat_ws(', ', 'handler ' || nullif(f.fdwhandler, 0)::pg_catalog.regproc,
                                    'validator ' || nullif(f.fdwvalidator, 0)::pg_catalog.regproc,
                                    'options ' || f.fdwoptions::text)
        FROM pg_catalog.pg_foreign_data_wrapper AS f
        UNION ALL
        SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, f.oid, f.srvowner, f.srvacl, 'S',
               pg_catalog.concat_ws(', ', 'wrapper ' || w.fdwname, 'type ' || f.srvtype, 'version ' || f.srvversion,
                                    'options ' || f.srvoptions::text)
        FROM pg_catalog.pg_foreign_server AS f
        JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = f.srvfdw
        UNION ALL
        SELECT 'pg_catalog.pg_user_mapping'::pg_catalog.regclass, u.umid, NULL, NULL, NULL, NULL
        FROM pg_catalog.pg_user_mappings AS u  -- its options hold passwords
    ) AS x (classid, oid, owner, acl, acl_kind, definition)
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(x.classid, x.oid, 0) AS i
    WHERE NOT EXISTS (SELECT FROM extension_member AS m WHERE m.classid = x.classid AND m.objid = x.oid)
),
object (classid, oid, subid, object, owner, acl, acl_kind) AS MATERIALIZED (
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid, s.oid, 0, 'schema ' || s.name, s.nspowner,
           s.nspacl, 'n'::"char"
    FROM schema AS s
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, r.oid, 0, r.kind || ' ' || r.name, r.relowner, r.relacl,
           CASE r.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END
    FROM relation AS r WHERE r.relkind <> 'c'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum, a.object, NULL, a.attacl, 'c'
    FROM attribute AS a
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid, 0, c.object, NULL, NULL, NULL FROM con AS c
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid, 0, c.object, NULL, NULL, NULL FROM domain_check AS c
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid, 0, i.object, NULL, NULL, NULL FROM index AS i
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid, 0, f.object, f.proowner,
           coalesce(f.proacl, pg_catalog.acldefault('f', f.proowner)), 'f'
    FROM function AS f
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 0, t.object, t.typowner,
           coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)), 'T'
    FROM type AS t
    UNION ALL
    SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 0, t.object, NULL, NULL, NULL
    FROM trigger AS t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, 0, p.object, NULL, NULL, NULL FROM policy AS p
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid, 0, r.object, NULL, NULL, NULL FROM rule AS r
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, x.oid, 0, x.object, x.stxowner, NULL, NULL
    FROM extended_statistics AS x
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, p.oid, 0, p.object, p.pubowner, NULL, NULL
    FROM publication AS p
    UNION ALL
    SELECT r.classid, r.oid, 0, r.object, r.owner, r.acl, r.acl_kind FROM rare AS r
),
neon_role AS MATERIALIZED (
    SELECT r.oid FROM pg_catalog.pg_roles AS r
    WHERE r.rolname ~ '^databricks_' OR r.rolname IN ('cloud_admin', 'zenith_admin', 'neon_superuser', 'neon_service')
),
grants (object, owner, full_acl, acl) AS (
    SELECT o.object, o.owner,
           -- Columns have no default. A global default privilege replaces PostgreSQL's own, so all of it is listed.
           CASE WHEN o.acl_kind = 'c' THEN NULL ELSE pg_catalog.acldefault(o.acl_kind, o.owner) END, o.acl
    FROM object AS o WHERE o.acl IS NOT NULL
    UNION ALL
    SELECT 'default privileges of ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(d.defaclrole))
           || coalesce(' in ' || s.name, '') || ' on '
           || CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                                   WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE d.defaclobjtype::text END,
           NULL, NULL, d.defaclacl
    FROM pg_catalog.pg_default_acl AS d
    LEFT JOIN schema AS s ON s.oid = d.defaclnamespace
    WHERE d.defaclnamespace = 0 OR s.oid IS NOT NULL
),
property (object, property, value) AS (
    SELECT o.object, 'owner', pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o.owner))
    FROM object AS o WHERE o.owner IS NOT NULL
    UNION ALL
    SELECT o.object, 'comment', d.description
    FROM object AS o
    JOIN pg_catalog.pg_description AS d ON d.objoid = o.oid AND d.classoid = o.classid AND d.objsubid = o.subid
    WHERE d.objoid >= 16384 OR d.objoid = 2200
    UNION ALL
    SELECT o.object, 'security label of ' || l.provider, l.label
    FROM object AS o
    JOIN pg_catalog.pg_seclabel AS l ON l.objoid = o.oid AND l.classoid = o.classid AND l.objsubid = o.subid
    UNION ALL
    SELECT g.object, 'grant to ' || CASE h.grantee WHEN 0 THEN 'PUBLIC'
                                    ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(h.grantee)) END
           || CASE WHEN h.grantor = g.owner OR g.owner IS NULL THEN ''
                   ELSE ' by ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(h.grantor)) END,
           h.held
    FROM grants AS g
    CROSS JOIN LATERAL (
        SELECT a.grantee, a.grantor, pg_catalog.string_agg(
                   a.privilege_type || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END, ', '
                   ORDER BY a.privilege_type COLLATE "C") AS held
        FROM pg_catalog.unnest(g.acl) AS i (item)
        CROSS JOIN LATERAL pg_catalog.aclexplode(ARRAY[i.item]) AS a
        WHERE g.full_acl IS NULL OR a.grantee <> g.owner OR NOT i.item = ANY (g.full_acl)
        GROUP BY a.grantee, a.grantor
    ) AS h
    WHERE h.grantee NOT IN (SELECT n.oid FROM neon_role AS n)
    UNION ALL
    SELECT g.object, 'grant to owner', 'nothing'
    FROM grants AS g
    WHERE g.full_acl IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(g.acl) AS a WHERE a.grantee = g.owner)
    UNION ALL
    SELECT r.kind || ' ' || r.name, p.property, p.value
    FROM relation AS r
    LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = r.reltoastrelid
    CROSS JOIN LATERAL (VALUES
        ('columns', (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum)
                     FROM pg_catalog.pg_attribute AS a
                     WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped)),
        ('unlogged', CASE r.relpersistence WHEN 'u' THEN 'yes' END),
        ('options', pg_catalog.array_to_string(r.reloptions, ', ')),
        ('TOAST options', pg_catalog.array_to_string(toast.reloptions, ', ')),
        ('access method', (SELECT m.amname::text FROM pg_catalog.pg_am AS m
                           WHERE m.oid = r.relam AND m.amname <> 'heap')),
        ('tablespace', (SELECT t.spcname::text FROM pg_catalog.pg_tablespace AS t WHERE t.oid = r.reltablespace)),
        ('row security', CASE WHEN r.relrowsecurity THEN
                             'enabled' || CASE WHEN r.relforcerowsecurity THEN ', forced' ELSE '' END
                              WHEN r.relforcerowsecurity THEN 'disabled, forced' END),
        ('replica identity', CASE CASE WHEN r.relkind IN ('r', 'p', 'm') THEN r.relreplident END
            WHEN 'f' THEN 'full' WHEN 'n' THEN 'nothing'
            WHEN 'i' THEN (SELECT i.object FROM index AS i
                    WHERE i.indrelid = r.oid AND i.indisreplident) END),
        ('of type', pg_catalog.format_type(nullif(r.reloftype, 0), NULL)),
        ('partitioned by', CASE r.relkind WHEN 'p' THEN pg_catalog.pg_get_partkeydef(r.oid) END),
        ('partition bound', pg_catalog.pg_get_expr(r.relpartbound, r.oid)),
        ('definition', CASE WHEN r.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(r.oid) END)
    ) AS p (property, value)
    WHERE r.relkind <> 'S'
    UNION ALL
    SELECT r.kind || ' ' || r.name, CASE WHEN r.relispartition THEN 'partition of' ELSE 'inherits' END,
           pg_catalog.string_agg(i.inhparent::pg_catalog.regclass
                                 || CASE WHEN i.inhdetachpending THEN ' (detach pending)' ELSE '' END, ', '
                                 ORDER BY i.inhseqno)
    FROM relation AS r JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = r.oid
    GROUP BY 1, 2
    UNION ALL
    SELECT r.kind || ' ' || r.name, 'not populated', 'yes'
    FROM relation AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
    WHERE r.relkind = 'm' AND NOT c.relispopulated
    UNION ALL
    SELECT r.kind || ' ' || r.name, 'server', s.srvname || coalesce(' options ' || f.ftoptions::text, '')
    FROM relation AS r
    JOIN pg_catalog.pg_foreign_table AS f ON f.ftrelid = r.oid
    JOIN pg_catalog.pg_foreign_server AS s ON s.oid = f.ftserver
    UNION ALL
    SELECT 'sequence ' || r.name, p.property, p.value
    FROM relation AS r
    JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = r.oid
    LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = r.oid
          AND d.objsubid = 0 AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    LEFT JOIN attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    CROSS JOIN LATERAL (VALUES
        ('definition', pg_catalog.format_type(q.seqtypid, NULL) || ' start ' || q.seqstart
            || ' increment ' || q.seqincrement
            || ' from ' || q.seqmin || ' to ' || q.seqmax || ' cache ' || q.seqcache
            || CASE WHEN q.seqcycle THEN ' cycle' ELSE '' END),
        ('unlogged', CASE r.relpersistence WHEN 'u' THEN 'yes' END),
        (CASE d.deptype WHEN 'i' THEN 'identity of' ELSE 'owned by' END, pg_catalog.substr(a.object, 8))
    ) AS p (property, value)
    WHERE r.relkind = 'S'
    UNION ALL
    SELECT a.object, p.property, p.value
    FROM attribute AS a
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef
    CROSS JOIN LATERAL (VALUES
        ('type', pg_catalog.format_type(a.atttypid, a.atttypmod)),
        ('collation', CASE WHEN a.attcollation <> t.typcollation
            THEN a.attcollation::pg_catalog.regcollation::text END),
        ('not null', CASE WHEN a.attnotnull THEN 'yes' END),
        (CASE a.attgenerated WHEN 's' THEN 'generated stored' WHEN 'v' THEN 'generated virtual' ELSE 'default' END,
         CASE WHEN a.atthasdef THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END),
        ('identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END),
        ('storage', CASE WHEN a.attstorage <> t.typstorage THEN
            CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'm' THEN 'main' WHEN 'x' THEN 'extended'
                              ELSE 'external' END END),
        ('compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END),
        ('statistics target', nullif(a.attstattarget, -1)::text),
        ('options', pg_catalog.array_to_string(a.attoptions, ', ')),
        ('foreign options', pg_catalog.array_to_string(a.attfdwoptions, ', ')),
        ('inherited', CASE WHEN NOT a.attislocal THEN 'yes' END)
    ) AS p (property, value)
    UNION ALL
    -- From PostgreSQL 18 on NOT NULL is a constraint with a name; only an unusual one is worth a line.
    SELECT a.object, 'not null constraint', pg_catalog.quote_ident(c.conname)
           || CASE WHEN c.convalidated THEN '' ELSE ', not valid' END
           || CASE WHEN c.connoinherit THEN ', no inherit' ELSE '' END
    FROM con AS c
    JOIN attribute AS a ON a.attrelid = c.relid AND a.attnum = c.conkey[1]
    JOIN pg_catalog.pg_class AS k ON k.oid = c.relid
    WHERE c.contype = 'n'
      AND (NOT c.convalidated OR c.connoinherit OR c.conname <> k.relname || '_' || a.attname || '_not_null')
    UNION ALL
    SELECT c.object, 'definition', pg_catalog.pg_get_constraintdef(c.oid)
    FROM con AS c WHERE c.contype NOT IN ('n', 't')
    UNION ALL
    SELECT c.object, 'definition', pg_catalog.pg_get_constraintdef(c.oid) FROM domain_check AS c
    UNION ALL
    SELECT DISTINCT c.object, 'checks',
           CASE t.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica only' ELSE 'always' END
    FROM trigger AS t JOIN pg_catalog.pg_constraint AS k ON k.oid = t.tgconstraint
    JOIN con AS c ON c.oid = k.oid
    WHERE t.tgisinternal
    UNION ALL
    SELECT i.object, p.property, p.value
    FROM index AS i
    CROSS JOIN LATERAL (VALUES
        ('definition', pg_catalog.pg_get_indexdef(i.indexrelid)),
        ('invalid', CASE WHEN NOT i.indisvalid OR NOT i.indisready THEN 'yes' END),
        ('clustered', CASE WHEN i.indisclustered THEN 'yes' END),
        ('tablespace', (SELECT t.spcname::text FROM pg_catalog.pg_tablespace AS t WHERE t.oid = i.reltablespace)),
        ('partition of', CASE WHEN i.relispartition THEN
            (SELECT h.inhparent::pg_catalog.regclass::text FROM pg_catalog.pg_inherits AS h
             WHERE h.inhrelid = i.indexrelid) END),
        ('statistics targets', (SELECT pg_catalog.string_agg(a.attnum || ' ' || a.attstattarget, ', ' ORDER BY a.attnum)
                                FROM pg_catalog.pg_attribute AS a
                                WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0))
    ) AS p (property, value)
    UNION ALL
    SELECT t.object, p.property, p.value
    FROM trigger AS t
    CROSS JOIN LATERAL (VALUES
        ('definition', pg_catalog.pg_get_triggerdef(t.oid)),
        ('enabled', CASE t.tgenabled WHEN 'O' THEN NULL WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas'
                                       ELSE 'always' END)
    ) AS p (property, value)
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT o.object, p.property, p.value
    FROM policy AS o
    CROSS JOIN LATERAL (VALUES
        ('command', CASE o.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                  WHEN 'd' THEN 'DELETE'
                                  ELSE 'ALL' END),
        ('restrictive', CASE WHEN NOT o.polpermissive THEN 'yes' END),
        ('roles', (SELECT pg_catalog.string_agg(CASE r.oid WHEN 0 THEN 'PUBLIC' ELSE
                              pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(r.oid)) END, ', '
                              ORDER BY CASE r.oid WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(r.oid)::text END)
                   FROM pg_catalog.unnest(o.polroles) AS r (oid))),
        ('using', pg_catalog.pg_get_expr(o.polqual, o.polrelid)),
        ('check', pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid))
    ) AS p (property, value)
    UNION ALL
    SELECT r.object, p.property, p.value
    FROM rule AS r
    CROSS JOIN LATERAL (VALUES
        ('definition', pg_catalog.pg_get_ruledef(r.oid)),
        ('enabled', CASE r.ev_enabled WHEN 'O' THEN NULL WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas'
                                       ELSE 'always' END)
    ) AS p (property, value)
    UNION ALL
    SELECT x.object, p.property, p.value
    FROM extended_statistics AS x
    CROSS JOIN LATERAL (VALUES
        ('definition', pg_catalog.pg_get_statisticsobjdef(x.oid)), ('target', nullif(x.stxstattarget, -1)::text)
    ) AS p (property, value)
    UNION ALL
    SELECT f.object, 'definition', pg_catalog.pg_get_functiondef(f.oid) FROM function AS f WHERE f.prokind <> 'a'
    UNION ALL
    SELECT f.object, 'definition', pg_catalog.concat_ws(', ',
               'state ' || pg_catalog.format_type(a.aggtranstype, NULL), 'transition ' || a.aggtransfn,
               'final ' || nullif(a.aggfinalfn::pg_catalog.oid, 0)::pg_catalog.regproc,
               'combine ' || nullif(a.aggcombinefn::pg_catalog.oid, 0)::pg_catalog.regproc,
               'serial ' || nullif(a.aggserialfn::pg_catalog.oid, 0)::pg_catalog.regproc,
               'deserial ' || nullif(a.aggdeserialfn::pg_catalog.oid, 0)::pg_catalog.regproc,
               'moving transition ' || nullif(a.aggmtransfn::pg_catalog.oid, 0)::pg_catalog.regproc,
               'moving inverse ' || nullif(a.aggminvtransfn::pg_catalog.oid, 0)::pg_catalog.regproc,
               'moving final ' || nullif(a.aggmfinalfn::pg_catalog.oid, 0)::pg_catalog.regproc,
               'initially ' || a.agginitval, 'moving initially ' || a.aggminitval,
               'sort operator ' || nullif(a.aggsortop, 0)::pg_catalog.regoperator,
               'returns ' || pg_catalog.format_type(p.prorettype, NULL), 'kind ' || a.aggkind::text,
               'parallel ' || p.proparallel::text)
    FROM function AS f
    JOIN pg_catalog.pg_aggregate AS a ON a.aggfnoid = f.oid
    JOIN pg_catalog.pg_proc AS p ON p.oid = f.oid
    UNION ALL
    SELECT t.object, p.property, p.value
    FROM type AS t
    LEFT JOIN pg_catalog.pg_range AS g ON g.rngtypid = t.oid
    CROSS JOIN LATERAL (VALUES
        ('labels', (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                    FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid)),
        ('type', CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END),
        ('collation', CASE t.typtype WHEN 'd' THEN (SELECT t.typcollation::pg_catalog.regcollation::text
            FROM pg_catalog.pg_type AS b WHERE b.oid = t.typbasetype AND b.typcollation <> t.typcollation) END),
        ('not null', CASE WHEN t.typnotnull THEN 'yes' END),
        ('default', t.typdefault),
        ('range of', pg_catalog.format_type(g.rngsubtype, NULL)
            || pg_catalog.concat(' canonical ' || nullif(g.rngcanonical::pg_catalog.oid, 0)::pg_catalog.regproc,
                                 ' difference ' || nullif(g.rngsubdiff::pg_catalog.oid, 0)::pg_catalog.regproc)),
        ('multirange', pg_catalog.format_type(g.rngmultitypid, NULL))
    ) AS p (property, value)
    UNION ALL
    SELECT p.object, v.property, v.value
    FROM publication AS p
    CROSS JOIN LATERAL (VALUES ('publishes', p.publishes), ('all tables', CASE WHEN p.puballtables THEN 'yes' END),
                               ('via root', CASE WHEN p.pubviaroot THEN 'yes' END)) AS v (property, value)
    UNION ALL
    SELECT p.object, 'table ' || r.name,
           coalesce('(' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum)
                            FROM attribute AS a WHERE a.attrelid = t.prrelid AND a.attnum = ANY (t.prattrs)) || ')',
                    'all columns') || coalesce(' where ' || pg_catalog.pg_get_expr(t.prqual, t.prrelid), '')
    FROM publication AS p
    JOIN pg_catalog.pg_publication_rel AS t ON t.prpubid = p.oid
    JOIN relation AS r ON r.oid = t.prrelid
    UNION ALL
    SELECT p.object, 'schema ' || s.name, 'all tables'
    FROM publication AS p
    JOIN pg_catalog.pg_publication_namespace AS t ON t.pnpubid = p.oid
    JOIN schema AS s ON s.oid = t.pnnspid
    UNION ALL
    SELECT r.object, 'definition', coalesce(r.definition, '(not listed)') FROM rare AS r
    UNION ALL
    -- Texts with another search_path would be written differently: no such listing may pass for a comparable one.
    SELECT 'catalogue', 'taken with search_path', pg_catalog.current_setting('search_path')
    WHERE pg_catalog.current_setting('search_path') NOT IN ('pg_catalog', 'pg_catalog, pg_temp')
)
SELECT pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
           p.object || ': ' || p.property || ' = ' || p.value, E'\\', E'\\\\'), E'\n', E'\\n'), E'\r', E'\\r')
       COLLATE "C" AS line
FROM property AS p
WHERE p.value IS NOT NULL AND p.property IS NOT NULL
ORDER BY line
