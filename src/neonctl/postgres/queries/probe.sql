-- try_all --
-- Each statement runs in a savepoint of its own and is undone, whatever came of it: a success by the exception that
-- is raised after it. The outcomes travel in the setting that the statements came in.
DO $neonctl$
DECLARE
    statement text;
    outcomes jsonb := '[]';
BEGIN
    FOR statement IN SELECT jsonb_array_elements_text(pg_catalog.current_setting('neonctl.probes')::jsonb) LOOP
        BEGIN
            EXECUTE statement;
            RAISE EXCEPTION 'undo' USING ERRCODE = 'NCTL0';
        EXCEPTION WHEN OTHERS THEN
            outcomes := outcomes || jsonb_build_array(jsonb_build_array(SQLSTATE, SQLERRM));
        END;
    END LOOP;
    PERFORM pg_catalog.set_config('neonctl.probes', outcomes::text, true);
END
$neonctl$

-- outcomes --
SELECT pg_catalog.current_setting('neonctl.probes')::jsonb
