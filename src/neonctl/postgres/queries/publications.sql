-- look --
-- Whether the role may create in this database, and the publication, if there is one.
SELECT pg_catalog.has_database_privilege(%(owner)s, pg_catalog.current_database(), 'CREATE'),
       (SELECT jsonb_build_object(
            'owner', pg_catalog.pg_get_userbyid(p.pubowner),
            'all_tables', p.puballtables,
            'tables', coalesce(
                (SELECT jsonb_agg(jsonb_build_array(n.nspname, c.relname))
                 FROM pg_catalog.pg_publication_rel AS r
                 JOIN pg_catalog.pg_class AS c ON c.oid = r.prrelid
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE r.prpubid = p.oid),
                '[]'))
        FROM pg_catalog.pg_publication AS p
        WHERE p.pubname = %(name)s)
