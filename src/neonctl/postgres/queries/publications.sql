-- look --
-- Whether the role may create in this database, and the publication, if there is one.
SELECT pg_catalog.has_database_privilege(%(owner)s, pg_catalog.current_database(), 'CREATE'),
       (SELECT jsonb_build_object(
            'owner', pg_catalog.pg_get_userbyid(p.pubowner),
            'all_tables', p.puballtables,
            'whole', (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND p.pubviaroot
                      AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS m
                                      WHERE m.prpubid = p.oid
                                        AND (m.prqual IS NOT NULL OR m.prattrs IS NOT NULL))),
            'tables', coalesce(
                (SELECT jsonb_agg(jsonb_build_array(n.nspname, c.relname))
                 FROM pg_catalog.pg_publication_rel AS r
                 JOIN pg_catalog.pg_class AS c ON c.oid = r.prrelid
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE r.prpubid = p.oid),
                '[]'))
        FROM pg_catalog.pg_publication AS p
        WHERE p.pubname = %(name)s)
