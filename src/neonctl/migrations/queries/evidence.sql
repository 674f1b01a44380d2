-- creation --
-- The evidence of what was done to this database's schema: append-only, each entry chained to the one before it.
CREATE TABLE public.neonctl_evidence (
    entry bigint NOT NULL CONSTRAINT neonctl_evidence_pk PRIMARY KEY,
    kind text NOT NULL,
    version text,
    script text,
    up_sha256 text,
    down_sha256 text,
    proof_id text,
    git_commit text,
    actor text NOT NULL,
    trace_id text NOT NULL,
    db_user text NOT NULL,
    details jsonb NOT NULL,
    listing text,
    recorded_at timestamptz NOT NULL,
    previous_hash text NOT NULL,
    hash text NOT NULL
);
COMMENT ON TABLE public.neonctl_evidence IS
    'What neonctl did to this schema: who, when, from which files. Append-only; each entry holds the hash of the last.';
REVOKE ALL ON public.neonctl_evidence FROM PUBLIC;

-- Whoever writes an entry: its number, time, user and hash are made here. The same text is built, and hashed again, by
-- broken_chain() in evidence.py: change both or neither.
CREATE FUNCTION public.neonctl_evidence_append() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $neonctl$
DECLARE
    last_entry bigint;
    last_hash text;
BEGIN
    PERFORM pg_advisory_xact_lock(7955377275698405477);  -- one after another: an entry is chained to one entry
    SELECT e.entry, e.hash INTO last_entry, last_hash
    FROM public.neonctl_evidence AS e ORDER BY e.entry DESC LIMIT 1;
    NEW.entry := coalesce(last_entry, 0) + 1;
    NEW.previous_hash := coalesce(last_hash, repeat('0', 64));
    NEW.db_user := session_user;
    NEW.recorded_at := clock_timestamp();
    NEW.hash := (
        SELECT encode(sha256(convert_to(
            string_agg(coalesce(length(field) || ':' || field, '-'), ',' ORDER BY place), 'UTF8')), 'hex')
        FROM unnest(ARRAY[
            NEW.previous_hash, NEW.entry::text, NEW.kind, NEW.version, NEW.script, NEW.up_sha256, NEW.down_sha256,
            NEW.proof_id, NEW.git_commit, NEW.actor, NEW.trace_id, NEW.db_user, NEW.details::text,
            encode(sha256(convert_to(NEW.listing, 'UTF8')), 'hex'),
            to_char(NEW.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        ]) WITH ORDINALITY AS fields (field, place));
    RETURN NEW;
END
$neonctl$;
REVOKE ALL ON FUNCTION public.neonctl_evidence_append() FROM PUBLIC;

CREATE FUNCTION public.neonctl_evidence_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $neonctl$
BEGIN
    RAISE EXCEPTION 'neonctl_evidence is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Write a new entry instead.';
END
$neonctl$;
REVOKE ALL ON FUNCTION public.neonctl_evidence_refuse() FROM PUBLIC;

CREATE TRIGGER append BEFORE INSERT ON public.neonctl_evidence
    FOR EACH ROW EXECUTE FUNCTION public.neonctl_evidence_append();
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON public.neonctl_evidence
    FOR EACH STATEMENT EXECUTE FUNCTION public.neonctl_evidence_refuse();
-- ALWAYS: session_replication_role does not switch them off.
ALTER TABLE public.neonctl_evidence ENABLE ALWAYS TRIGGER append, ENABLE ALWAYS TRIGGER refuse;
