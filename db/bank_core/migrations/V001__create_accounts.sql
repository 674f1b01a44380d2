-- squawk-ignore-file ban-create-domain-with-constraint
-- Accounts and the parties that hold them (MOD-001, MOD-003).
-- Schemas, roles and default privileges come from provisioning; there, bank_core_app_user may only read.

-- Amounts of the partition (MOD-143), which only the database makes: written a million at a time, so with one comparison.
CREATE DOMAIN core.obr_amount AS numeric(18, 2) CONSTRAINT chk_obr_amount CHECK (VALUE >= 0);

-- An UPDATE compares old and new values of all indexed columns. Those that are never or seldom text come first: there
-- Postgres finds a value without walking over the ones before it.
CREATE TABLE accounts.accounts (
    account_id uuid CONSTRAINT accounts_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    opened_at timestamptz NOT NULL DEFAULT now(),
    obr_frozen_amount core.obr_amount NOT NULL DEFAULT 0,
    obr_available_amount core.obr_amount NOT NULL DEFAULT 0,
    obr_partitioned boolean NOT NULL DEFAULT false,
    held_jointly boolean NOT NULL DEFAULT false,
    account_number text NOT NULL CONSTRAINT uniq_accounts_account_number UNIQUE,
    product_code text NOT NULL,
    currency text NOT NULL,
    jurisdiction text NOT NULL,
    status text NOT NULL DEFAULT 'PENDING',
    restriction_reason text,
    is_internal boolean NOT NULL DEFAULT false,
    balance numeric(18, 2) NOT NULL DEFAULT 0,
    available_balance numeric(18, 2) NOT NULL DEFAULT 0,
    overdraft_limit numeric(18, 2) NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chk_accounts_account_number CHECK (account_number ~ '^[0-9A-Z][0-9A-Z-]{3,33}$'),
    CONSTRAINT chk_accounts_product_code CHECK (product_code ~ '^[A-Z][A-Z0-9_]{0,49}$'),
    CONSTRAINT chk_accounts_currency CHECK (currency IN ('NZD', 'AUD')),
    CONSTRAINT chk_accounts_jurisdiction CHECK (jurisdiction IN ('NZ', 'AU')),
    CONSTRAINT chk_accounts_status CHECK (status IN ('PENDING', 'ACTIVE', 'RESTRICTED', 'DORMANT', 'CLOSED')),
    CONSTRAINT chk_accounts_restriction_reason CHECK (restriction_reason ~ '^[A-Z][A-Z_]{0,49}$'),
    CONSTRAINT chk_accounts_overdraft_limit CHECK (overdraft_limit >= 0),
    CONSTRAINT chk_accounts_not_overdrawn CHECK (is_internal OR balance + overdraft_limit >= 0)
) WITH (fillfactor = 80); -- every posting updates its accounts: room for the new row version on the same page

COMMENT ON TABLE accounts.accounts IS 'Customer and internal accounts with their live balances. A credit raises, a debit lowers a balance, for every account (liability view).';
COMMENT ON COLUMN accounts.accounts.jurisdiction IS 'Whose law and whose end of day apply: NZ or AU.';
COMMENT ON COLUMN accounts.accounts.restriction_reason IS 'Why an account is restricted, for example NOTICE_PENDING; NULL for none.';
COMMENT ON COLUMN accounts.accounts.is_internal IS 'The bank''s own account: may be overdrawn, takes no part in a resolution.';
COMMENT ON COLUMN accounts.accounts.balance IS 'Sum of credits less sum of debits.';
COMMENT ON COLUMN accounts.accounts.available_balance IS 'Balance less holds that are not released.';
COMMENT ON COLUMN accounts.accounts.held_jointly IS 'Has, will have or has had several holders: says where shares are worth looking at, no more.';
COMMENT ON COLUMN accounts.accounts.obr_partitioned IS 'The account takes part in the partition of an activated resolution.';
COMMENT ON COLUMN accounts.accounts.obr_frozen_amount IS 'What of the balance is frozen (MOD-143).';
COMMENT ON COLUMN accounts.accounts.obr_available_amount IS 'What of the balance is not frozen; credits since activation included. 0 outside a resolution.';

CREATE TABLE accounts.account_party_relationships (
    account_id uuid NOT NULL CONSTRAINT fk_acct_party_rel_account_id REFERENCES accounts.accounts (account_id),
    party_id uuid NOT NULL,
    role text NOT NULL,
    balance_share_pct numeric(7, 4),
    valid_from timestamptz NOT NULL DEFAULT now(),
    valid_to timestamptz,
    CONSTRAINT account_party_relationships_pkey PRIMARY KEY (account_id, party_id, role),
    CONSTRAINT chk_acct_party_rel_role CHECK (role IN ('HOLDER', 'SIGNATORY', 'ATTORNEY')),
    CONSTRAINT chk_acct_party_rel_share_range CHECK (balance_share_pct > 0 AND balance_share_pct <= 100),
    CONSTRAINT chk_acct_party_rel_share_iff_holder CHECK ((role = 'HOLDER') = (balance_share_pct IS NOT NULL)),
    CONSTRAINT chk_acct_party_rel_validity CHECK (valid_to > valid_from)
);

CREATE INDEX idx_acct_party_rel_party_id ON accounts.account_party_relationships (party_id);

COMMENT ON TABLE accounts.account_party_relationships IS 'Who holds an account or may act on it.';
COMMENT ON COLUMN accounts.account_party_relationships.party_id IS 'The party in bank_kyc; no foreign key reaches across databases.';
COMMENT ON COLUMN accounts.account_party_relationships.balance_share_pct IS 'A holder''s share of the balance in percent (MOD-125).';

-- The application opens accounts by accounts.open_account, which asks for holders, and changes their standing by
-- accounts.set_account_status (V002). Whoever may UPDATE a column may also lock rows, before anything, and so keep an
-- activation waiting without being named.
GRANT INSERT, UPDATE (valid_to) ON accounts.account_party_relationships TO bank_core_app_user;
