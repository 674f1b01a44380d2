-- Parties and how the bank knows who they are (MOD-009, MOD-010).

CREATE TABLE party.parties (
    id uuid CONSTRAINT parties_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    party_type text NOT NULL,
    legal_name text NOT NULL,
    date_of_birth date,
    country_of_residence text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chk_parties_party_type CHECK (party_type IN ('INDIVIDUAL', 'ORGANISATION')),
    CONSTRAINT chk_parties_legal_name CHECK (btrim(legal_name) <> ''),
    CONSTRAINT chk_parties_date_of_birth CHECK (date_of_birth >= DATE '1880-01-01'),
    CONSTRAINT chk_parties_birth_of_individuals CHECK (party_type = 'INDIVIDUAL' OR date_of_birth IS NULL),
    CONSTRAINT chk_parties_country_of_residence CHECK (country_of_residence ~ '^[A-Z]{2}$')
);

COMMENT ON TABLE party.parties IS 'People and organisations the bank deals with. Other databases know a party by id only.';
COMMENT ON COLUMN party.parties.legal_name IS 'Personal information.';
COMMENT ON COLUMN party.parties.date_of_birth IS 'Personal information; not for reporting roles.';
COMMENT ON COLUMN party.parties.country_of_residence IS 'ISO 3166-1 alpha-2.';

CREATE TABLE kyc.identity_documents (
    id uuid CONSTRAINT identity_documents_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    party_id uuid NOT NULL CONSTRAINT fk_identity_documents_party_id REFERENCES party.parties (id),
    document_type text NOT NULL,
    issuing_country text NOT NULL,
    document_number text NOT NULL,
    expires_on date,
    captured_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uniq_identity_documents_document UNIQUE (party_id, document_type, issuing_country, document_number),
    CONSTRAINT chk_identity_documents_type CHECK (document_type IN ('PASSPORT', 'DRIVER_LICENCE', 'BIRTH_CERTIFICATE', 'NATIONAL_ID')),
    CONSTRAINT chk_identity_documents_issuing_country CHECK (issuing_country ~ '^[A-Z]{2}$'),
    CONSTRAINT chk_identity_documents_number CHECK (btrim(document_number) <> '')
);

COMMENT ON TABLE kyc.identity_documents IS 'Documents a party showed.';
COMMENT ON COLUMN kyc.identity_documents.document_number IS 'Personal information; not for reporting roles.';

CREATE TABLE kyc.identity_verifications (
    id uuid CONSTRAINT identity_verifications_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    party_id uuid NOT NULL CONSTRAINT fk_identity_verifications_party_id REFERENCES party.parties (id),
    document_id uuid CONSTRAINT fk_identity_verifications_document_id REFERENCES kyc.identity_documents (id),
    method text NOT NULL,
    provider text NOT NULL,
    outcome text NOT NULL DEFAULT 'PENDING',
    requested_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CONSTRAINT chk_identity_verifications_method CHECK (method IN ('ELECTRONIC', 'DOCUMENT', 'IN_PERSON')),
    CONSTRAINT chk_identity_verifications_document CHECK (method <> 'DOCUMENT' OR document_id IS NOT NULL),
    CONSTRAINT chk_identity_verifications_outcome CHECK (outcome IN ('PENDING', 'VERIFIED', 'REFERRED', 'FAILED')),
    CONSTRAINT chk_identity_verifications_completed CHECK ((outcome = 'PENDING') = (completed_at IS NULL)),
    CONSTRAINT chk_identity_verifications_order CHECK (completed_at >= requested_at)
);

CREATE INDEX idx_identity_verifications_party_id ON kyc.identity_verifications (party_id, requested_at DESC);
CREATE INDEX idx_identity_verifications_document_id ON kyc.identity_verifications (document_id);

COMMENT ON TABLE kyc.identity_verifications IS 'Each attempt to verify who a party is, with its outcome.';
COMMENT ON COLUMN kyc.identity_verifications.provider IS 'Who verified: the name of the service, or of the branch.';

-- A verification is evidence: it is completed, never taken away.
REVOKE DELETE ON kyc.identity_verifications FROM bank_kyc_app_user;
