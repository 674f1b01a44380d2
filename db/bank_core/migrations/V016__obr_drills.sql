-- When Open Bank Resolution was last drilled, and how that ended: the one trace that a drill leaves in what it drilled
-- on a copy. The signed status says the last of these.

CREATE TABLE core.obr_drills (
    drill_id uuid NOT NULL CONSTRAINT obr_drills_pkey PRIMARY KEY,
    outcome text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    haircut_pct numeric(5, 4) NOT NULL,
    de_minimis_amount core.not_negative_amount NOT NULL,
    equal_shares boolean NOT NULL,
    accounts bigint NOT NULL,
    report_sha256 core.sha256_hash NOT NULL,
    report_key_id text NOT NULL,
    actor text,
    trace_id text,
    db_user text NOT NULL DEFAULT session_user,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT chk_obr_drills_outcome CHECK (outcome IN ('passed', 'failed')),
    CONSTRAINT chk_obr_drills_times CHECK (ended_at >= started_at),
    CONSTRAINT chk_obr_drills_haircut_pct CHECK (haircut_pct BETWEEN 0 AND 1),
    CONSTRAINT chk_obr_drills_accounts CHECK (accounts >= 0),
    CONSTRAINT chk_obr_drills_report_key_id CHECK (octet_length(report_key_id) BETWEEN 1 AND 200)
);

COMMENT ON TABLE core.obr_drills IS 'Drills of Open Bank Resolution on copies of this database: append-only.';
COMMENT ON COLUMN core.obr_drills.outcome IS 'passed: everything that was to be shown was shown.';
COMMENT ON COLUMN core.obr_drills.accounts IS 'Customer accounts that were split.';
COMMENT ON COLUMN core.obr_drills.report_sha256 IS 'SHA-256 of the signed report''s file.';
COMMENT ON COLUMN core.obr_drills.report_key_id IS 'Thumbprint of the key that signed it (RFC 7638).';
COMMENT ON COLUMN core.obr_drills.actor IS 'Who says to have started it.';
COMMENT ON COLUMN core.obr_drills.db_user IS 'The role that logged in to record it.';

CREATE TRIGGER trg_obr_drills_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.obr_drills
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_drills_officer BEFORE INSERT ON core.obr_drills
FOR EACH STATEMENT EXECUTE FUNCTION core.require_resolution_officer();
CREATE TRIGGER trg_obr_drills_linked AFTER INSERT ON core.obr_drills
FOR EACH ROW EXECUTE FUNCTION core.link_obr_record('drill_id');
ALTER TABLE core.obr_drills ENABLE ALWAYS TRIGGER trg_obr_drills_append_only;
ALTER TABLE core.obr_drills ENABLE ALWAYS TRIGGER trg_obr_drills_linked;
ALTER TABLE core.obr_drills ENABLE ALWAYS TRIGGER trg_obr_drills_officer;

-- Whose record it is and when it was made is not the caller's to say.
CREATE FUNCTION core.obr_record_drill(
    p_drill_id uuid, p_outcome text, p_started_at timestamptz, p_ended_at timestamptz, p_haircut_pct numeric,
    p_de_minimis_amount numeric, p_equal_shares boolean, p_accounts bigint, p_report_sha256 bytea, p_report_key_id text,
    p_actor text DEFAULT NULL, p_trace_id text DEFAULT NULL
) RETURNS timestamptz
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO core.obr_drills AS d (drill_id, outcome, started_at, ended_at, haircut_pct, de_minimis_amount, equal_shares,
        accounts, report_sha256, report_key_id, actor, trace_id)
    VALUES (p_drill_id, p_outcome, p_started_at, p_ended_at, p_haircut_pct, p_de_minimis_amount, p_equal_shares, p_accounts,
        p_report_sha256, p_report_key_id, p_actor, p_trace_id)
    RETURNING d.recorded_at
$$;

REVOKE EXECUTE ON FUNCTION core.obr_record_drill(
    uuid, text, timestamptz, timestamptz, numeric, numeric, boolean, bigint, bytea, text, text, text
) FROM PUBLIC;
-- The owner neither: who grants it back to himself is seen as drift.
REVOKE EXECUTE ON FUNCTION core.obr_record_drill(
    uuid, text, timestamptz, timestamptz, numeric, numeric, boolean, bigint, bytea, text, text, text
) FROM bank_core_migrate_user;
GRANT EXECUTE ON FUNCTION core.obr_record_drill(
    uuid, text, timestamptz, timestamptz, numeric, numeric, boolean, bigint, bytea, text, text, text
) TO bank_core_resolution_officer;
