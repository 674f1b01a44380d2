-- squawk-ignore-file ban-create-domain-with-constraint, constraint-missing-not-valid, require-concurrent-index-creation, adding-field-with-default, disallowed-unique-constraint, prefer-bigint-over-smallint
-- The partition (MOD-143, FR-634): what of each account is frozen and what is available, and the evidence of the split.
--
-- While an account is in the partition, each posting keeps obr_available_amount = greatest(balance - obr_frozen_amount, 0)
-- under the account's lock (V005). Here is the refusal that no race gets round: nothing that takes from an account may
-- leave it with less than what is frozen.

CREATE TABLE core.products (
    product_code core.product_code NOT NULL CONSTRAINT products_pkey PRIMARY KEY,
    obr_prepositioned boolean NOT NULL DEFAULT true,
    description text
);

COMMENT ON TABLE core.products IS 'The compendium: which products are pre-positioned. One that is not listed is.';
COMMENT ON COLUMN core.products.obr_prepositioned IS 'False: in a resolution nothing of the balance is available.';

-- Activation writes every row: half of each page stays free, so that the new versions fit beside the old ones and no
-- index is touched. The partition's own index is a BRIN for the same reason: it does not stand in the way of that.
ALTER TABLE accounts.accounts SET (fillfactor = 45);
CREATE INDEX idx_accounts_obr_partition_active ON accounts.accounts USING brin (opened_at) WHERE obr_frozen_amount > 0;

CREATE TABLE core.obr_account_partitions (
    event_id uuid NOT NULL,
    account_id uuid NOT NULL,
    log_seq bigint NOT NULL,
    currency text NOT NULL,
    balance_at numeric(18, 2) NOT NULL,
    frozen_amount numeric(18, 2) NOT NULL,
    available_amount numeric(18, 2) NOT NULL,
    CONSTRAINT obr_account_partitions_pkey PRIMARY KEY (event_id, account_id)
);

CREATE TABLE core.obr_holder_partitions (
    event_id uuid NOT NULL,
    account_id uuid NOT NULL,
    holder_no smallint NOT NULL,
    party_id uuid,
    share_pct numeric(7, 4) NOT NULL,
    balance_at numeric(18, 2) NOT NULL,
    frozen_amount numeric(18, 2) NOT NULL,
    available_amount numeric(18, 2) NOT NULL,
    CONSTRAINT obr_holder_partitions_pkey PRIMARY KEY (event_id, account_id, holder_no)
);

COMMENT ON TABLE core.obr_account_partitions IS 'Each account as it was split at an activation (event_id). Append-only, written by trigger.';
COMMENT ON TABLE core.obr_holder_partitions IS 'Each holder''s part of it; the parts sum to the account. Append-only, written by trigger.';
COMMENT ON COLUMN core.obr_account_partitions.log_seq IS 'The row of core.transaction_log that says the same balance; 0: nothing was posted yet.';
COMMENT ON COLUMN core.obr_holder_partitions.party_id IS 'NULL: the account had no holder, and counts as one depositor''s.';
COMMENT ON COLUMN core.obr_holder_partitions.share_pct IS 'The share that was used: balance_share_pct, or an equal one.';

CREATE TRIGGER trg_obr_account_partitions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.obr_account_partitions
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_account_partitions_written_by_trigger BEFORE INSERT ON core.obr_account_partitions
FOR EACH STATEMENT WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION core.refuse_direct_write();
CREATE TRIGGER trg_obr_holder_partitions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.obr_holder_partitions
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_holder_partitions_written_by_trigger BEFORE INSERT ON core.obr_holder_partitions
FOR EACH STATEMENT WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION core.refuse_direct_write();
ALTER TABLE core.obr_account_partitions ENABLE ALWAYS TRIGGER trg_obr_account_partitions_append_only;
ALTER TABLE core.obr_account_partitions ENABLE ALWAYS TRIGGER trg_obr_account_partitions_written_by_trigger;
ALTER TABLE core.obr_holder_partitions ENABLE ALWAYS TRIGGER trg_obr_holder_partitions_append_only;
ALTER TABLE core.obr_holder_partitions ENABLE ALWAYS TRIGGER trg_obr_holder_partitions_written_by_trigger;

-- Hashes of an event's evidence, of so many accounts each, in the order of their ids. They stand in the event's row, and
-- so in the chain. A piece reaches from behind the one before up to its own last account; the last one has no end. What
-- is available follows from balance and frozen, and is not in them. A number is negative that counts a holder who is no
-- party. Rows are read in the order of the key, whatever the planner, who knows nothing yet of rows that were just
-- written, would rather do.
CREATE FUNCTION core.obr_evidence(p_event_id uuid, p_accounts bigint DEFAULT 100000) RETURNS jsonb
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    pieces jsonb := '[]';
    since uuid;
    upto uuid;
    a record;
    h record;
BEGIN
    LOOP
        SELECT p.account_id INTO upto
        FROM core.obr_account_partitions AS p
        WHERE p.event_id = p_event_id AND (since IS NULL OR p.account_id > since)
        ORDER BY p.account_id
        OFFSET p_accounts - 1
        LIMIT 1;
        SELECT count(*) AS n, sha256(coalesce(string_agg(uuid_send(p.account_id) || int8send(p.log_seq)
            || convert_to(p.currency, 'UTF8') || numeric_send(p.balance_at) || numeric_send(p.frozen_amount), ''
            ORDER BY p.account_id), '')) AS hash
        INTO a
        FROM core.obr_account_partitions AS p
        WHERE p.event_id = p_event_id AND (since IS NULL OR p.account_id > since) AND (upto IS NULL OR p.account_id <= upto);
        SELECT count(*) AS n, sha256(coalesce(string_agg(uuid_send(p.account_id)
            || int2send(CASE WHEN p.party_id IS NULL THEN -p.holder_no ELSE p.holder_no END) || coalesce(uuid_send(p.party_id), '')
            || numeric_send(p.share_pct) || numeric_send(p.balance_at) || numeric_send(p.frozen_amount), ''
            ORDER BY p.account_id, p.holder_no), '')) AS hash
        INTO h
        FROM core.obr_holder_partitions AS p
        WHERE p.event_id = p_event_id AND (since IS NULL OR p.account_id > since) AND (upto IS NULL OR p.account_id <= upto);
        pieces := pieces || jsonb_build_object('upto', upto, 'accounts', a.n, 'accounts_sha256', encode(a.hash, 'hex'),
            'holders', h.n, 'holders_sha256', encode(h.hash, 'hex'));
        EXIT WHEN upto IS NULL;
        since := upto;
    END LOOP;
    RETURN pieces;
END
$$;

-- A posting or a hold on an account of the partition, after the change as everything that looks at single rows of this
-- table is (V002). WHEN is as short as can be: Postgres parses it again in each statement. No search_path of its own, which
-- each call would set and put back: only the ledger's functions move a balance, and they have theirs.
-- available_balance is the balance less all holds, expired ones too: only where it looks too small are the holds looked at.
CREATE FUNCTION accounts.keep_obr_frozen() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    held numeric;
BEGIN
    IF NEW.obr_available_amount <> greatest(NEW.balance - NEW.obr_frozen_amount, 0) THEN
        RAISE EXCEPTION 'account %: % is not what is left of % beside the frozen %', NEW.account_id, NEW.obr_available_amount,
            NEW.balance, NEW.obr_frozen_amount
            USING ERRCODE = 'NB016', CONSTRAINT = 'LEDGER_MANAGED';
    END IF;
    IF NEW.available_balance < OLD.available_balance AND NEW.available_balance < NEW.obr_frozen_amount THEN
        SELECT coalesce(sum(h.amount), 0) INTO held
        FROM accounts.pending_holds AS h
        WHERE h.account_id = NEW.account_id AND h.released_at IS NULL AND h.expires_at > pg_catalog.clock_timestamp();
        IF NEW.balance - held < NEW.obr_frozen_amount THEN
            RAISE EXCEPTION 'account %: this would take from what is frozen', NEW.account_id
                USING ERRCODE = 'NB033', CONSTRAINT = 'OBR_FROZEN_BALANCE';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_accounts_obr_frozen AFTER UPDATE OF balance, available_balance ON accounts.accounts
FOR EACH ROW WHEN (NEW.obr_partitioned) EXECUTE FUNCTION accounts.keep_obr_frozen();
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_obr_frozen;

-- OBR goes before notice (MOD-143, AD-5). Its name sorts after trg_accounts_standing, whose answer it corrects.
CREATE FUNCTION accounts.lift_in_resolution() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (accounts.status_rule(NEW.status, NEW.restriction_reason)).lifted_in_resolution THEN
        UPDATE accounts.accounts AS a SET allows_debit = true WHERE a.account_id = NEW.account_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_accounts_standing_in_resolution AFTER UPDATE OF status, restriction_reason ON accounts.accounts
FOR EACH ROW WHEN (NEW.obr_partitioned) EXECUTE FUNCTION accounts.lift_in_resolution();
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_standing_in_resolution;

-- Opened while a resolution is activated: in the partition, with nothing frozen. The ledger's lock is held since
-- trg_accounts_birth, so the state cannot change any more.
CREATE FUNCTION accounts.account_birth_in_resolution() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s core.obr_resolution_state;
BEGIN
    IF NEW.obr_partitioned OR NEW.obr_frozen_amount <> 0 OR NEW.obr_available_amount <> 0 THEN
        RAISE EXCEPTION 'account % is not born partitioned', NEW.account_id
            USING ERRCODE = 'NB016', CONSTRAINT = 'LEDGER_MANAGED';
    END IF;
    IF NOT NEW.is_internal THEN
        -- In an older snapshot the state may be that of before an activation, or of before its end.
        IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'a customer''s account is opened in READ COMMITTED: a resolution may have begun or ended meanwhile'
                USING ERRCODE = 'NB023', CONSTRAINT = 'READ_COMMITTED_REQUIRED';
        END IF;
        SELECT x.* INTO s FROM core.obr_resolution_state AS x WHERE x.id = 'current';
        IF s.resolution_state = 'activated' AND NEW.jurisdiction = s.jurisdiction THEN
            NEW.obr_partitioned := true;
            NEW.allows_debit := NEW.allows_debit
                OR coalesce((accounts.status_rule(NEW.status, NEW.restriction_reason)).lifted_in_resolution, false);
        END IF;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER trg_accounts_birth_in_resolution BEFORE INSERT ON accounts.accounts
FOR EACH ROW EXECUTE FUNCTION accounts.account_birth_in_resolution();
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_birth_in_resolution;

-- Who changes a standing or holders takes the ledger's lock before any row, as who moves money does: an activation
-- waits for him, or he for it, and they never wait for each other. So does who writes updated_at alone: he locks the row.
CREATE FUNCTION core.enter_ledger_first() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE;
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_accounts_enters_ledger BEFORE UPDATE OF status, restriction_reason, updated_at ON accounts.accounts
FOR EACH STATEMENT EXECUTE FUNCTION core.enter_ledger_first();
CREATE TRIGGER trg_acct_party_rel_enters_ledger BEFORE INSERT OR UPDATE OR DELETE ON accounts.account_party_relationships
FOR EACH STATEMENT EXECUTE FUNCTION core.enter_ledger_first();
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_enters_ledger;
ALTER TABLE accounts.account_party_relationships ENABLE ALWAYS TRIGGER trg_acct_party_rel_enters_ledger;

REVOKE EXECUTE ON FUNCTION
    core.obr_evidence(uuid, bigint), core.enter_ledger_first(), accounts.keep_obr_frozen(), accounts.lift_in_resolution(),
    accounts.account_birth_in_resolution()
FROM PUBLIC;
GRANT INSERT, UPDATE (obr_prepositioned, description) ON core.products TO bank_core_resolution_officer;
