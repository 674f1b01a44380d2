-- squawk-ignore-file require-concurrent-index-deletion
CREATE OR REPLACE FUNCTION accounts.check_shares() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account uuid := coalesce(NEW.account_id, OLD.account_id);
    shares numeric;
BEGIN
    PERFORM FROM accounts.accounts AS a WHERE a.account_id = account FOR NO KEY UPDATE;
    SELECT sum(r.balance_share_pct) INTO shares
    FROM accounts.account_party_relationships AS r
    WHERE r.account_id = account AND r.role = 'HOLDER' AND (r.valid_to IS NULL OR r.valid_to > clock_timestamp());
    IF shares <> 100 THEN -- NULL: no holder
        RAISE EXCEPTION 'account %: the holders'' shares sum to %, not to 100', account, shares
            USING ERRCODE = 'NB018', CONSTRAINT = 'SHARES_NOT_100';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION accounts.set_account_status(
    p_account_id uuid, p_status text, p_restriction_reason text DEFAULT NULL, p_actor text DEFAULT NULL,
    p_trace_id text DEFAULT NULL, p_correlation_id text DEFAULT NULL,
    OUT account_id uuid, OUT status text, OUT restriction_reason text, OUT version integer, OUT changed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before accounts.accounts;
BEGIN
    SELECT a.* INTO before FROM accounts.accounts AS a WHERE a.account_id = p_account_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no account %', p_account_id USING ERRCODE = 'NB004', CONSTRAINT = 'ACCOUNT_NOT_FOUND';
    END IF;
    changed := (before.status, before.restriction_reason) IS DISTINCT FROM (p_status, p_restriction_reason);
    IF changed THEN
        PERFORM set_config('neonctl.actor', coalesce(p_actor, ''), true),
            set_config('neonctl.trace_id', coalesce(p_trace_id, ''), true),
            set_config('neonctl.correlation_id', coalesce(p_correlation_id, ''), true);
        UPDATE accounts.accounts AS a
        SET status = p_status, restriction_reason = p_restriction_reason
        WHERE a.account_id = p_account_id;
    END IF;
    SELECT a.account_id, a.status, a.restriction_reason, a.version
    INTO set_account_status.account_id, set_account_status.status, set_account_status.restriction_reason, set_account_status.version
    FROM accounts.accounts AS a
    WHERE a.account_id = p_account_id;
END
$$;
DROP TRIGGER trg_acct_party_rel_enters_ledger ON accounts.account_party_relationships;
DROP TRIGGER trg_accounts_enters_ledger ON accounts.accounts;
DROP FUNCTION core.enter_ledger_first();
DROP TRIGGER trg_accounts_obr_money ON accounts.accounts;
DROP TRIGGER trg_accounts_birth_in_resolution ON accounts.accounts;
DROP TRIGGER trg_accounts_standing_in_resolution ON accounts.accounts;
DROP TRIGGER trg_accounts_obr_available ON accounts.accounts;
DROP FUNCTION accounts.account_birth_in_resolution();
DROP FUNCTION accounts.lift_in_resolution();
DROP FUNCTION accounts.keep_obr_available();
DROP TABLE core.obr_holder_partitions;
DROP TABLE core.obr_account_partitions;
DROP INDEX accounts.idx_accounts_obr_partition_active;
ALTER TABLE accounts.accounts SET (fillfactor = 80);
ALTER TABLE accounts.accounts
    DROP COLUMN obr_partitioned,
    DROP COLUMN obr_frozen_amount,
    DROP COLUMN obr_available_amount;
DROP DOMAIN core.obr_amount;
DROP TABLE core.products;
