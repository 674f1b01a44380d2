-- Credit: what customers apply for and what the bank grants (MOD-027, MOD-162).

CREATE TABLE credit.applications (
    id uuid CONSTRAINT applications_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    applicant_party_id uuid NOT NULL,
    product_code text NOT NULL,
    requested_amount numeric(18, 2) NOT NULL,
    currency text NOT NULL,
    term_months bigint NOT NULL,
    status text NOT NULL DEFAULT 'DRAFT',
    created_at timestamptz NOT NULL DEFAULT now(),
    submitted_at timestamptz,
    decided_at timestamptz,
    decided_by text,
    CONSTRAINT chk_applications_product_code CHECK (product_code ~ '^[A-Z][A-Z0-9_]{0,49}$'),
    CONSTRAINT chk_applications_requested_amount CHECK (requested_amount > 0),
    CONSTRAINT chk_applications_currency CHECK (currency IN ('NZD', 'AUD')),
    CONSTRAINT chk_applications_term_months CHECK (term_months BETWEEN 1 AND 480),
    CONSTRAINT chk_applications_status CHECK (status IN ('DRAFT', 'SUBMITTED', 'APPROVED', 'DECLINED', 'WITHDRAWN')),
    CONSTRAINT chk_applications_submitted CHECK (status IN ('DRAFT', 'WITHDRAWN') OR submitted_at IS NOT NULL),
    CONSTRAINT chk_applications_decided CHECK (
        (status IN ('APPROVED', 'DECLINED')) = (decided_at IS NOT NULL)
        AND (decided_at IS NULL) = (decided_by IS NULL)
    )
);

CREATE INDEX idx_applications_applicant_party_id ON credit.applications (applicant_party_id);

COMMENT ON TABLE credit.applications IS 'Applications for credit and how they were decided.';
COMMENT ON COLUMN credit.applications.applicant_party_id IS 'The party in bank_kyc; no foreign key reaches across databases.';

CREATE TABLE credit.facilities (
    id uuid CONSTRAINT facilities_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    application_id uuid NOT NULL CONSTRAINT uniq_facilities_application_id UNIQUE
        CONSTRAINT fk_facilities_application_id REFERENCES credit.applications (id),
    account_id uuid NOT NULL CONSTRAINT uniq_facilities_account_id UNIQUE,
    limit_amount numeric(18, 2) NOT NULL,
    currency text NOT NULL,
    interest_rate_pct numeric(7, 4) NOT NULL,
    status text NOT NULL DEFAULT 'ACTIVE',
    starts_on date NOT NULL,
    matures_on date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chk_facilities_limit_amount CHECK (limit_amount > 0),
    CONSTRAINT chk_facilities_currency CHECK (currency IN ('NZD', 'AUD')),
    CONSTRAINT chk_facilities_interest_rate_pct CHECK (interest_rate_pct BETWEEN 0 AND 100),
    CONSTRAINT chk_facilities_status CHECK (status IN ('ACTIVE', 'ARREARS', 'DEFAULTED', 'CLOSED')),
    CONSTRAINT chk_facilities_dates CHECK (matures_on > starts_on)
);

COMMENT ON TABLE credit.facilities IS 'Credit granted: one facility per approved application.';
COMMENT ON COLUMN credit.facilities.account_id IS 'The loan account in bank_core; no foreign key reaches across databases.';
COMMENT ON COLUMN credit.facilities.interest_rate_pct IS 'Per year, in percent.';
