-- The customer's app (MOD-068, MOD-072) and who among the staff may do what (MOD-052).

CREATE TABLE app.customer_profiles (
    party_id uuid CONSTRAINT customer_profiles_pkey PRIMARY KEY,
    preferred_name text,
    locale text NOT NULL DEFAULT 'en-NZ',
    time_zone text NOT NULL DEFAULT 'Pacific/Auckland',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chk_customer_profiles_preferred_name CHECK (btrim(preferred_name) <> ''),
    CONSTRAINT chk_customer_profiles_locale CHECK (locale ~ '^[a-z]{2}(-[A-Z]{2})?$'),
    CONSTRAINT chk_customer_profiles_time_zone CHECK (time_zone ~ '^[A-Za-z_]+(/[A-Za-z_]+)*$')
);

COMMENT ON TABLE app.customer_profiles IS 'How a customer wants the app to be.';
COMMENT ON COLUMN app.customer_profiles.party_id IS 'The party in bank_kyc; no foreign key reaches across databases.';

CREATE TABLE app.sessions (
    id uuid CONSTRAINT sessions_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    party_id uuid NOT NULL CONSTRAINT fk_sessions_party_id REFERENCES app.customer_profiles (party_id),
    token_sha256 bytea NOT NULL CONSTRAINT uniq_sessions_token_sha256 UNIQUE,
    device_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoke_reason text,
    CONSTRAINT chk_sessions_token_sha256 CHECK (octet_length(token_sha256) = 32),
    CONSTRAINT chk_sessions_expires_at CHECK (expires_at > created_at),
    CONSTRAINT chk_sessions_revoked CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
);

CREATE INDEX idx_sessions_party_id_live ON app.sessions (party_id) WHERE revoked_at IS NULL;

COMMENT ON TABLE app.sessions IS 'Logged-in sessions of customers.';
COMMENT ON COLUMN app.sessions.token_sha256 IS 'Hash of the session token; the token itself is stored nowhere.';

CREATE TABLE access.roles (
    code text CONSTRAINT roles_pkey PRIMARY KEY,
    description text NOT NULL,
    CONSTRAINT chk_roles_code CHECK (code ~ '^[A-Z][A-Z0-9_]{0,49}$'),
    CONSTRAINT chk_roles_description CHECK (btrim(description) <> '')
);

COMMENT ON TABLE access.roles IS 'What members of staff can be allowed to do.';

CREATE TABLE access.role_assignments (
    id uuid CONSTRAINT role_assignments_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    staff_id text NOT NULL,
    role_code text NOT NULL CONSTRAINT fk_role_assignments_role_code REFERENCES access.roles (code),
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    valid_to timestamptz,
    revoked_by text,
    revoked_at timestamptz,
    CONSTRAINT chk_role_assignments_four_eyes CHECK (granted_by <> staff_id),
    CONSTRAINT chk_role_assignments_valid_to CHECK (valid_to > granted_at),
    CONSTRAINT chk_role_assignments_revoked CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

CREATE UNIQUE INDEX uniq_role_assignments_live ON access.role_assignments (staff_id, role_code) WHERE revoked_at IS NULL;
CREATE INDEX idx_role_assignments_role_code ON access.role_assignments (role_code);

COMMENT ON TABLE access.role_assignments IS 'Who holds which role, who granted it, and until when. Nobody grants a role to himself.';

-- An assignment is ended, never forgotten.
REVOKE DELETE ON access.role_assignments FROM bank_app_app_user;
