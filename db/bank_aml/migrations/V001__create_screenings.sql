-- Sanctions and watch-list screening (MOD-013, MOD-015).

CREATE TABLE aml.screenings (
    id uuid CONSTRAINT screenings_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    subject_type text NOT NULL,
    subject_id uuid NOT NULL,
    reason text NOT NULL,
    outcome text NOT NULL DEFAULT 'PENDING',
    requested_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CONSTRAINT chk_screenings_subject_type CHECK (subject_type IN ('PARTY', 'PAYMENT')),
    CONSTRAINT chk_screenings_reason CHECK (reason IN ('ONBOARDING', 'PAYMENT', 'LIST_CHANGE', 'PERIODIC_REVIEW')),
    CONSTRAINT chk_screenings_outcome CHECK (outcome IN ('PENDING', 'CLEAR', 'POTENTIAL_MATCH', 'CONFIRMED_MATCH')),
    CONSTRAINT chk_screenings_completed CHECK ((outcome = 'PENDING') = (completed_at IS NULL)),
    CONSTRAINT chk_screenings_order CHECK (completed_at >= requested_at)
);

CREATE INDEX idx_screenings_subject ON aml.screenings (subject_id, requested_at DESC);
CREATE INDEX idx_screenings_open ON aml.screenings (requested_at) WHERE outcome IN ('PENDING', 'POTENTIAL_MATCH');

COMMENT ON TABLE aml.screenings IS 'Each screening of a party or a payment against the lists in force.';
COMMENT ON COLUMN aml.screenings.subject_id IS 'The party in bank_kyc or the payment in bank_payments; no foreign key reaches across databases.';

CREATE TABLE aml.screening_matches (
    id uuid CONSTRAINT screening_matches_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    screening_id uuid NOT NULL CONSTRAINT fk_screening_matches_screening_id REFERENCES aml.screenings (id),
    list_name text NOT NULL,
    list_entry text NOT NULL,
    score numeric(5, 4) NOT NULL,
    disposition text NOT NULL DEFAULT 'OPEN',
    decided_by text,
    decided_at timestamptz,
    rationale text,
    CONSTRAINT uniq_screening_matches_entry UNIQUE (screening_id, list_name, list_entry),
    CONSTRAINT chk_screening_matches_score CHECK (score BETWEEN 0 AND 1),
    CONSTRAINT chk_screening_matches_disposition CHECK (disposition IN ('OPEN', 'FALSE_POSITIVE', 'TRUE_MATCH')),
    CONSTRAINT chk_screening_matches_decided CHECK (
        (disposition = 'OPEN') = (decided_by IS NULL)
        AND (disposition = 'OPEN') = (decided_at IS NULL)
        AND (disposition = 'OPEN') = (rationale IS NULL)
    )
);

COMMENT ON TABLE aml.screening_matches IS 'List entries a screening hit, and what an analyst decided about each, with reasons.';
COMMENT ON COLUMN aml.screening_matches.score IS 'How alike subject and entry are, 0 to 1.';

-- What was screened and hit stays on record.
REVOKE DELETE ON aml.screenings, aml.screening_matches FROM bank_aml_app_user;
