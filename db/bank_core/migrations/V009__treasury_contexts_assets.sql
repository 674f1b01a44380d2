-- Small neighbours of the ledger: where the bank's own money lies, what accounts are used for, what the bank owns.

CREATE TABLE treasury.nostro_accounts (
    nostro_id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT nostro_accounts_pkey PRIMARY KEY,
    account_id uuid NOT NULL CONSTRAINT uniq_nostro_accounts_account_id UNIQUE
    CONSTRAINT fk_nostro_accounts_account_id REFERENCES accounts.accounts (account_id),
    correspondent_bic text NOT NULL,
    correspondent_account text NOT NULL,
    currency core.currency_code NOT NULL,
    opened_on date NOT NULL,
    closed_on date,
    CONSTRAINT uniq_nostro_accounts_correspondent UNIQUE (correspondent_bic, correspondent_account),
    CONSTRAINT chk_nostro_accounts_correspondent_bic
    CHECK (correspondent_bic ~ '^[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$'),
    CONSTRAINT chk_nostro_accounts_closed_on CHECK (closed_on >= opened_on)
);

COMMENT ON TABLE treasury.nostro_accounts IS 'Our accounts with other banks, each mirrored by an internal account of the ledger.';

CREATE TABLE treasury.nostro_statements (
    nostro_id uuid NOT NULL CONSTRAINT fk_nostro_statements_nostro_id REFERENCES treasury.nostro_accounts (nostro_id),
    statement_date date NOT NULL,
    closing_balance numeric(18, 2) NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT nostro_statements_pkey PRIMARY KEY (nostro_id, statement_date)
);

COMMENT ON TABLE treasury.nostro_statements IS 'What the other bank says we have there at the end of a day. Append-only.';

CREATE TABLE treasury.positions (
    position_date date NOT NULL,
    currency core.currency_code NOT NULL,
    jurisdiction core.jurisdiction_code NOT NULL,
    liquid_assets core.not_negative_amount NOT NULL,
    expected_inflows core.not_negative_amount NOT NULL,
    expected_outflows core.not_negative_amount NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT positions_pkey PRIMARY KEY (position_date, jurisdiction, currency)
);

COMMENT ON TABLE treasury.positions IS 'The bank''s liquidity per day, jurisdiction and currency. Append-only.';

CREATE TABLE contexts.business_contexts (
    context_id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT business_contexts_pkey PRIMARY KEY,
    context_code text NOT NULL CONSTRAINT uniq_business_contexts_context_code UNIQUE,
    name text NOT NULL,
    jurisdiction core.jurisdiction_code NOT NULL,
    valid_from date NOT NULL DEFAULT current_date,
    valid_to date,
    CONSTRAINT chk_business_contexts_context_code CHECK (context_code ~ '^[A-Z][A-Z0-9_]{0,49}$'),
    CONSTRAINT chk_business_contexts_name CHECK (btrim(name) <> ''),
    CONSTRAINT chk_business_contexts_validity CHECK (valid_to > valid_from)
);

COMMENT ON TABLE contexts.business_contexts IS 'What accounts are used for: business lines, programmes, schemes.';

CREATE TABLE contexts.account_contexts (
    context_id uuid NOT NULL CONSTRAINT fk_account_contexts_context_id REFERENCES contexts.business_contexts (context_id),
    account_id uuid NOT NULL CONSTRAINT fk_account_contexts_account_id REFERENCES accounts.accounts (account_id),
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at timestamptz,
    CONSTRAINT account_contexts_pkey PRIMARY KEY (context_id, account_id),
    CONSTRAINT chk_account_contexts_removed_at CHECK (removed_at >= added_at)
);

CREATE INDEX idx_account_contexts_account_id ON contexts.account_contexts (account_id);

COMMENT ON TABLE contexts.account_contexts IS 'Which accounts belong to which business context.';

CREATE TABLE assets.asset_register (
    asset_id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT asset_register_pkey PRIMARY KEY,
    asset_code text NOT NULL CONSTRAINT uniq_asset_register_asset_code UNIQUE,
    asset_class text NOT NULL,
    name text NOT NULL,
    account_id uuid NOT NULL CONSTRAINT fk_asset_register_account_id REFERENCES accounts.accounts (account_id),
    currency core.currency_code NOT NULL,
    cost core.positive_amount NOT NULL,
    acquired_on date NOT NULL,
    disposed_on date,
    CONSTRAINT chk_asset_register_asset_code CHECK (asset_code ~ '^[A-Z0-9][A-Z0-9-]{0,49}$'),
    CONSTRAINT chk_asset_register_asset_class
    CHECK (asset_class IN ('CASH', 'GOVERNMENT_BOND', 'LOAN', 'PROPERTY', 'EQUIPMENT', 'INTANGIBLE', 'OTHER')),
    CONSTRAINT chk_asset_register_name CHECK (btrim(name) <> ''),
    CONSTRAINT chk_asset_register_disposed_on CHECK (disposed_on >= acquired_on)
);

COMMENT ON TABLE assets.asset_register IS 'What the bank owns, and the internal account that carries it.';

CREATE TABLE assets.asset_valuations (
    asset_id uuid NOT NULL CONSTRAINT fk_asset_valuations_asset_id REFERENCES assets.asset_register (asset_id),
    valued_on date NOT NULL,
    carrying_amount core.not_negative_amount NOT NULL,
    method text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT asset_valuations_pkey PRIMARY KEY (asset_id, valued_on),
    CONSTRAINT chk_asset_valuations_method CHECK (method IN ('COST', 'FAIR_VALUE', 'AMORTISED_COST', 'IMPAIRMENT'))
);

COMMENT ON TABLE assets.asset_valuations IS 'What an asset was worth on a day. Append-only.';

CREATE TRIGGER trg_nostro_statements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON treasury.nostro_statements
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_positions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON treasury.positions
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_asset_valuations_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON assets.asset_valuations
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
ALTER TABLE treasury.nostro_statements ENABLE ALWAYS TRIGGER trg_nostro_statements_append_only;
ALTER TABLE treasury.positions ENABLE ALWAYS TRIGGER trg_positions_append_only;
ALTER TABLE assets.asset_valuations ENABLE ALWAYS TRIGGER trg_asset_valuations_append_only;

-- Both mirror accounts of the bank itself, in one currency with them.
CREATE FUNCTION core.require_internal_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM accounts.accounts AS a
        WHERE a.account_id = NEW.account_id AND a.is_internal AND a.currency = NEW.currency
    ) THEN
        RAISE EXCEPTION '%.% needs an internal account in %', TG_TABLE_SCHEMA, TG_TABLE_NAME, NEW.currency
            USING ERRCODE = 'NB006', CONSTRAINT = 'CURRENCY_MISMATCH';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER trg_nostro_accounts_internal BEFORE INSERT OR UPDATE OF account_id, currency ON treasury.nostro_accounts
FOR EACH ROW EXECUTE FUNCTION core.require_internal_account();
CREATE TRIGGER trg_asset_register_internal BEFORE INSERT OR UPDATE OF account_id, currency ON assets.asset_register
FOR EACH ROW EXECUTE FUNCTION core.require_internal_account();

REVOKE EXECUTE ON FUNCTION core.require_internal_account() FROM PUBLIC;
GRANT INSERT, UPDATE (closed_on) ON treasury.nostro_accounts TO bank_core_app_user;
GRANT INSERT ON treasury.nostro_statements, treasury.positions, assets.asset_valuations TO bank_core_app_user;
GRANT INSERT, UPDATE (name, valid_to) ON contexts.business_contexts TO bank_core_app_user;
GRANT INSERT, UPDATE (removed_at) ON contexts.account_contexts TO bank_core_app_user;
GRANT INSERT, UPDATE (name, disposed_on) ON assets.asset_register TO bank_core_app_user;
