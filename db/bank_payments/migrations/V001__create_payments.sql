-- Payments and the trail of their states (MOD-020, MOD-022).

CREATE TABLE payments.payments (
    id uuid CONSTRAINT payments_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    idempotency_key text NOT NULL CONSTRAINT uniq_payments_idempotency_key UNIQUE,
    debtor_account_id uuid NOT NULL,
    creditor_account_id uuid,
    creditor_account_number text,
    amount numeric(18, 2) NOT NULL,
    currency text NOT NULL,
    rail text NOT NULL,
    reference text,
    status text NOT NULL DEFAULT 'RECEIVED',
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CONSTRAINT chk_payments_idempotency_key CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    CONSTRAINT chk_payments_one_creditor CHECK (num_nonnulls(creditor_account_id, creditor_account_number) = 1),
    CONSTRAINT chk_payments_internal_creditor CHECK ((rail = 'INTERNAL') = (creditor_account_id IS NOT NULL)),
    CONSTRAINT chk_payments_not_to_itself CHECK (creditor_account_id <> debtor_account_id),
    CONSTRAINT chk_payments_amount CHECK (amount > 0),
    CONSTRAINT chk_payments_currency CHECK (currency IN ('NZD', 'AUD')),
    CONSTRAINT chk_payments_rail CHECK (rail IN ('INTERNAL', 'SBI', 'NPP', 'BECS', 'BPAY', 'SWIFT')),
    CONSTRAINT chk_payments_status CHECK (status IN ('RECEIVED', 'VALIDATED', 'HELD', 'SENT', 'SETTLED', 'REJECTED', 'CANCELLED')),
    CONSTRAINT chk_payments_settled CHECK ((status = 'SETTLED') = (settled_at IS NOT NULL))
);

CREATE INDEX idx_payments_debtor_account_id ON payments.payments (debtor_account_id, created_at DESC);
CREATE INDEX idx_payments_creditor_account_id ON payments.payments (creditor_account_id, created_at DESC)
    WHERE creditor_account_id IS NOT NULL;
CREATE INDEX idx_payments_unfinished ON payments.payments (created_at)
    WHERE status IN ('RECEIVED', 'VALIDATED', 'HELD', 'SENT');

COMMENT ON TABLE payments.payments IS 'Payments as instructed, with their present state.';
COMMENT ON COLUMN payments.payments.debtor_account_id IS 'The account in bank_core; no foreign key reaches across databases.';
COMMENT ON COLUMN payments.payments.creditor_account_id IS 'An account of this bank; NULL when the money leaves it.';
COMMENT ON COLUMN payments.payments.creditor_account_number IS 'An account elsewhere; personal information.';

CREATE TABLE payments.payment_status_changes (
    payment_id uuid NOT NULL CONSTRAINT fk_payment_status_changes_payment_id REFERENCES payments.payments (id),
    change_no bigint NOT NULL,
    from_status text,
    to_status text NOT NULL,
    reason text,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_status_changes_pkey PRIMARY KEY (payment_id, change_no),
    CONSTRAINT chk_payment_status_changes_no CHECK (change_no > 0),
    CONSTRAINT chk_payment_status_changes_first CHECK ((change_no = 1) = (from_status IS NULL)),
    CONSTRAINT chk_payment_status_changes_to CHECK (to_status IN ('RECEIVED', 'VALIDATED', 'HELD', 'SENT', 'SETTLED', 'REJECTED', 'CANCELLED')),
    CONSTRAINT chk_payment_status_changes_real CHECK (from_status <> to_status)
);

COMMENT ON TABLE payments.payment_status_changes IS 'Every change of a payment''s state, who made it and why. Written once.';

-- The trail is written, never rewritten; a payment is cancelled, never removed.
REVOKE UPDATE, DELETE ON payments.payment_status_changes FROM bank_payments_app_user;
REVOKE DELETE ON payments.payments FROM bank_payments_app_user;
