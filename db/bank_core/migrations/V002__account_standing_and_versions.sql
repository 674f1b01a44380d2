-- squawk-ignore-file changing-column-type, ban-drop-constraint, ban-create-domain-with-constraint, disallowed-unique-constraint, constraint-missing-not-valid, prefer-bigint-over-int
-- (the table has no customers yet; a domain's rule is replaced by a new domain, never edited; `version` is an int in the
-- contract)
-- What an account may do (MOD-001), its version and the heads of its chains (MOD-003), and who may write which column.
--
-- Value rules move from CHECK constraints to domains. Postgres parses every CHECK of a table again in each statement
-- that writes it: eight of them made an UPDATE of a balance three times as expensive. A domain is only looked at when
-- its own column is written.

-- A row here is refused a change by everybody, the owner included. Statement triggers also speak when no row matches,
-- and ENABLE ALWAYS keeps them awake under session_replication_role = replica.
CREATE FUNCTION core.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: rows there are kept as they are', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'NB015', CONSTRAINT = 'APPEND_ONLY', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
$$;

-- Refuses what only the ledger's triggers may write. Its triggers say WHEN (pg_trigger_depth() < 1), which is when the
-- statement comes from no trigger: a call of this function for each posting would cost more than the question.
CREATE FUNCTION core.refuse_direct_write() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of these columns of %.% is the ledger''s own', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'NB016', CONSTRAINT = 'LEDGER_MANAGED', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
$$;

REVOKE EXECUTE ON FUNCTION core.refuse_change(), core.refuse_direct_write() FROM PUBLIC;

CREATE DOMAIN core.account_number AS text
    CONSTRAINT chk_account_number CHECK (VALUE ~ '^[0-9A-Z][0-9A-Z-]{3,33}$');
CREATE DOMAIN core.product_code AS text CONSTRAINT chk_product_code CHECK (VALUE ~ '^[A-Z][A-Z0-9_]{0,49}$');
CREATE DOMAIN core.currency_code AS text CONSTRAINT chk_currency_code CHECK (VALUE IN ('NZD', 'AUD'));
CREATE DOMAIN core.jurisdiction_code AS text CONSTRAINT chk_jurisdiction_code CHECK (VALUE IN ('NZ', 'AU'));
CREATE DOMAIN core.account_status AS text
    CONSTRAINT chk_account_status CHECK (VALUE IN ('PENDING', 'ACTIVE', 'RESTRICTED', 'DORMANT', 'CLOSED'));
CREATE DOMAIN core.reason_code AS text CONSTRAINT chk_reason_code CHECK (VALUE ~ '^[A-Z][A-Z_]{0,49}$');
-- Written with every posting, so without a regular expression: one with bounds costs as much as an INSERT.
CREATE DOMAIN core.idempotency_key AS text
    CONSTRAINT chk_idempotency_key CHECK (octet_length(VALUE) <= 200 AND btrim(VALUE) <> '');
CREATE DOMAIN core.trace_text AS text CONSTRAINT chk_trace_text CHECK (octet_length(VALUE) BETWEEN 1 AND 200);
-- Amounts that somebody gives: numeric(18, 2) in what they may be, but numeric in type. numeric(18, 2) itself would round
-- a third decimal away before any check can see it. NaN is greater than every number, so it is not below the limit.
CREATE DOMAIN core.not_negative_amount AS numeric
    CONSTRAINT chk_not_negative_amount CHECK (VALUE >= 0 AND VALUE < 1e16 AND scale(VALUE) <= 2);
CREATE DOMAIN core.positive_amount AS numeric
    CONSTRAINT chk_positive_amount CHECK (VALUE > 0 AND VALUE < 1e16 AND scale(VALUE) <= 2);
CREATE DOMAIN core.sha256_hash AS bytea CONSTRAINT chk_sha256_hash CHECK (octet_length(VALUE) = 32);

ALTER TABLE accounts.accounts
    DROP CONSTRAINT chk_accounts_account_number,
    DROP CONSTRAINT chk_accounts_product_code,
    DROP CONSTRAINT chk_accounts_currency,
    DROP CONSTRAINT chk_accounts_jurisdiction,
    DROP CONSTRAINT chk_accounts_status,
    DROP CONSTRAINT chk_accounts_restriction_reason,
    DROP CONSTRAINT chk_accounts_overdraft_limit,
    ALTER COLUMN account_number TYPE core.account_number,
    ALTER COLUMN product_code TYPE core.product_code,
    ALTER COLUMN currency TYPE core.currency_code,
    ALTER COLUMN jurisdiction TYPE core.jurisdiction_code,
    ALTER COLUMN status TYPE core.account_status,
    ALTER COLUMN restriction_reason TYPE core.reason_code,
    ALTER COLUMN overdraft_limit TYPE core.not_negative_amount,
    ADD COLUMN version integer NOT NULL DEFAULT 0,
    ADD COLUMN log_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN log_head bytea NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000',
    ADD COLUMN last_posted_at timestamptz,
    ADD COLUMN hold_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN hold_head bytea NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000',
    ADD COLUMN allows_debit boolean NOT NULL DEFAULT false,
    ADD COLUMN allows_credit boolean NOT NULL DEFAULT false,
    ADD COLUMN shards uuid [],
    ADD COLUMN shard_of uuid,
    ADD COLUMN idempotency_key core.idempotency_key,
    ADD COLUMN request_hash core.sha256_hash;

COMMENT ON COLUMN accounts.accounts.version IS 'Plus one with each posting leg, hold, release and change of standing; hold writes are optimistic on it.';
COMMENT ON COLUMN accounts.accounts.log_seq IS 'How many rows core.transaction_log has of this account.';
COMMENT ON COLUMN accounts.accounts.log_head IS 'row_hash of the last of them.';
COMMENT ON COLUMN accounts.accounts.last_posted_at IS 'posted_at of the last of them: never decreases.';
COMMENT ON COLUMN accounts.accounts.hold_seq IS 'How many rows core.hold_log has of this account.';
COMMENT ON COLUMN accounts.accounts.hold_head IS 'row_hash of the last of them.';
COMMENT ON COLUMN accounts.accounts.allows_debit IS 'What status_rules says for the status and restriction.';
COMMENT ON COLUMN accounts.accounts.allows_credit IS 'What status_rules says for the status and restriction.';
COMMENT ON COLUMN accounts.accounts.shards IS 'A hot internal account''s shards: postings to it are booked on one of them.';
COMMENT ON COLUMN accounts.accounts.shard_of IS 'The internal account that this one is a shard of.';
COMMENT ON COLUMN accounts.accounts.request_hash IS 'What was asked for under idempotency_key.';

ALTER TABLE accounts.accounts
    ADD CONSTRAINT uniq_accounts_idempotency_key UNIQUE (idempotency_key);

CREATE TABLE core.jurisdictions (
    jurisdiction core.jurisdiction_code CONSTRAINT jurisdictions_pkey PRIMARY KEY,
    time_zone text NOT NULL,
    eod_local time NOT NULL
);

COMMENT ON TABLE core.jurisdictions IS 'Whose wall clock ends the day, and when (MOD-003).';

INSERT INTO core.jurisdictions (jurisdiction, time_zone, eod_local)
VALUES ('NZ', 'Pacific/Auckland', '23:55'), ('AU', 'Australia/Sydney', '23:55');

CREATE TABLE accounts.status_rules (
    status core.account_status NOT NULL,
    restriction_reason text NOT NULL,
    allows_debit boolean NOT NULL,
    allows_credit boolean NOT NULL,
    refusal text NOT NULL,
    lifted_in_resolution boolean NOT NULL DEFAULT false,
    meaning text NOT NULL,
    CONSTRAINT status_rules_pkey PRIMARY KEY (status, restriction_reason),
    CONSTRAINT chk_status_rules_restriction_reason CHECK (restriction_reason ~ '^([*]|[A-Z][A-Z_]{0,49})?$')
);

COMMENT ON TABLE accounts.status_rules IS 'Which entry types an account takes. Restriction: empty for none, * for any that has no row of its own.';
COMMENT ON COLUMN accounts.status_rules.refusal IS 'The code of an entry that is refused.';
COMMENT ON COLUMN accounts.status_rules.lifted_in_resolution IS 'The bar on debits falls while a resolution is activated (MOD-143, AD-5).';

INSERT INTO accounts.status_rules (status, restriction_reason, allows_debit, allows_credit, refusal, lifted_in_resolution, meaning)
VALUES
('PENDING', '*', false, false, 'ACCOUNT_PENDING', false, 'Opened, not yet approved.'),
('ACTIVE', '', true, true, 'ACCOUNT_RESTRICTED', false, 'In use.'),
('ACTIVE', 'NOTICE_PENDING', false, true, 'NOTICE_PENDING', true, 'Notice of withdrawal is running.'),
('ACTIVE', '*', false, true, 'ACCOUNT_RESTRICTED', false, 'Any other restriction stops debits.'),
('RESTRICTED', 'NOTICE_PENDING', false, true, 'NOTICE_PENDING', true, 'Notice of withdrawal is running.'),
('RESTRICTED', 'FROZEN', false, false, 'ACCOUNT_FROZEN', false, 'Frozen by order: nothing moves.'),
('RESTRICTED', 'CREDIT_BLOCK', true, false, 'ACCOUNT_RESTRICTED', false, 'Takes no more money.'),
('RESTRICTED', '*', false, true, 'ACCOUNT_RESTRICTED', false, 'Debits are stopped.'),
('DORMANT', '*', false, false, 'ACCOUNT_DORMANT', false, 'Unused for long: wake it up first.'),
('CLOSED', '*', false, false, 'ACCOUNT_CLOSED', false, 'Closed for good.');

CREATE FUNCTION accounts.status_rule(p_status text, p_restriction_reason text) RETURNS accounts.status_rules
LANGUAGE sql STABLE AS $$
    SELECT r
    FROM accounts.status_rules AS r
    WHERE r.status = p_status AND r.restriction_reason IN (coalesce(p_restriction_reason, ''), '*')
    ORDER BY r.restriction_reason = '*'
    LIMIT 1
$$;

-- Accounts that are there already.
UPDATE accounts.accounts AS a
SET allows_debit = r.allows_debit, allows_credit = r.allows_credit, held_jointly = (
    SELECT count(*) FROM accounts.account_party_relationships AS h WHERE h.account_id = a.account_id AND h.role = 'HOLDER'
) > 1
FROM accounts.status_rules AS r
WHERE r = accounts.status_rule(a.status, a.restriction_reason);

CREATE TABLE accounts.status_changes (
    account_id uuid NOT NULL, -- written by the account's own trigger: a foreign key would only make each UPDATE dearer
    version integer NOT NULL,
    from_status core.account_status NOT NULL,
    from_restriction_reason core.reason_code,
    to_status core.account_status NOT NULL,
    to_restriction_reason core.reason_code,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    db_user text NOT NULL DEFAULT session_user,
    actor text,
    trace_id text,
    correlation_id text,
    CONSTRAINT status_changes_pkey PRIMARY KEY (account_id, version)
);

COMMENT ON TABLE accounts.status_changes IS 'Each change of an account''s standing: append-only, written by trigger.';

CREATE TRIGGER trg_status_changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts.status_changes
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
ALTER TABLE accounts.status_changes ENABLE ALWAYS TRIGGER trg_status_changes_append_only;

CREATE TRIGGER trg_status_changes_written_by_trigger BEFORE INSERT ON accounts.status_changes
FOR EACH STATEMENT WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION core.refuse_direct_write();
ALTER TABLE accounts.status_changes ENABLE ALWAYS TRIGGER trg_status_changes_written_by_trigger;

-- The ledger's lock: no rows, ever. Whoever moves money or holds has it in ROW SHARE, before any row; who has it
-- exclusively, or waits for those who have it, stands between two moments of the whole ledger. A table and no advisory
-- lock, which every login could take: this one takes a right that nobody has but the owner's functions.
CREATE TABLE core.ledger_lock (nothing boolean CONSTRAINT ledger_lock_pkey PRIMARY KEY CONSTRAINT chk_ledger_lock_nothing CHECK (false));

COMMENT ON TABLE core.ledger_lock IS 'Locked by what moves money or holds; has no rows.';

-- Born without money, at a moment the database knows. Definer: for the lock.
CREATE FUNCTION accounts.account_birth() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule accounts.status_rules;
BEGIN
    IF NEW.balance <> 0 OR NEW.available_balance <> 0 OR NEW.version <> 0 OR NEW.log_seq <> 0 OR NEW.hold_seq <> 0
        OR NEW.log_head <> '\x0000000000000000000000000000000000000000000000000000000000000000'
        OR NEW.hold_head <> '\x0000000000000000000000000000000000000000000000000000000000000000'
        OR NEW.last_posted_at IS NOT NULL OR (NEW.shard_of IS NOT NULL AND NOT NEW.is_internal) OR NEW.shards IS NOT NULL
    THEN
        RAISE EXCEPTION 'account % must be opened empty: money comes by postings', NEW.account_id
            USING ERRCODE = 'NB016', CONSTRAINT = 'LEDGER_MANAGED';
    END IF;
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE;
    NEW.opened_at := pg_catalog.clock_timestamp();
    NEW.updated_at := NEW.opened_at;
    rule := accounts.status_rule(NEW.status, NEW.restriction_reason);
    NEW.allows_debit := rule.allows_debit;
    NEW.allows_credit := rule.allows_credit;
    RETURN NEW;
END
$$;

-- What an account is never changes.
CREATE FUNCTION accounts.keep_identity() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what an account is never changes' USING ERRCODE = 'NB016', CONSTRAINT = 'LEDGER_MANAGED';
END
$$;

-- What it may do changes along these lines. After the change, not before: a row that BEFORE triggers are to see is locked
-- first, with a WAL record of its own, and every posting and every resolution would pay for that. So the account's present
-- row is what counts here: the statement may have moved money since. Definer: who may change a standing may write neither
-- its effects nor its record.
CREATE FUNCTION accounts.account_standing() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule accounts.status_rules;
    a record;
BEGIN
    IF NEW.shard_of IS NOT NULL AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'account % is a shard: it follows account %', OLD.account_id, NEW.shard_of
            USING ERRCODE = 'NB016', CONSTRAINT = 'LEDGER_MANAGED';
    END IF;
    IF OLD.status <> NEW.status AND NOT (
        (OLD.status = 'PENDING' AND NEW.status IN ('ACTIVE', 'CLOSED'))
        OR (OLD.status IN ('ACTIVE', 'RESTRICTED', 'DORMANT') AND NEW.status IN ('ACTIVE', 'RESTRICTED', 'DORMANT', 'CLOSED'))
    ) OR OLD.status = 'CLOSED' THEN
        RAISE EXCEPTION 'account %: % does not become %', OLD.account_id, OLD.status, NEW.status
            USING ERRCODE = 'NB017', CONSTRAINT = 'STATUS_TRANSITION_REFUSED';
    END IF;
    rule := accounts.status_rule(NEW.status, NEW.restriction_reason);
    UPDATE accounts.accounts AS x
    SET allows_debit = rule.allows_debit, allows_credit = rule.allows_credit, version = x.version + 1,
        updated_at = clock_timestamp()
    WHERE x.account_id = NEW.account_id
    RETURNING x.balance, x.available_balance, x.version, x.status, x.restriction_reason INTO a;
    -- A function that the same statement calls may have gone on from NEW: what NEW may do would then be said last, of a
    -- standing that is another one by now.
    IF (a.status, a.restriction_reason) IS DISTINCT FROM (NEW.status, NEW.restriction_reason) THEN
        RAISE EXCEPTION 'account %: its standing changes once in a statement', OLD.account_id
            USING ERRCODE = 'NB017', CONSTRAINT = 'STATUS_TRANSITION_REFUSED';
    END IF;
    IF NEW.status = 'CLOSED' AND (a.balance <> 0 OR a.available_balance <> 0) THEN
        RAISE EXCEPTION 'account % is closed only without balance and holds', OLD.account_id
            USING ERRCODE = 'NB017', CONSTRAINT = 'ACCOUNT_NOT_EMPTY';
    END IF;
    INSERT INTO accounts.status_changes (account_id, version, from_status, from_restriction_reason, to_status,
        to_restriction_reason, actor, trace_id, correlation_id)
    VALUES (NEW.account_id, a.version, OLD.status, OLD.restriction_reason, NEW.status, NEW.restriction_reason,
        nullif(current_setting('neonctl.actor', true), ''), nullif(current_setting('neonctl.trace_id', true), ''),
        nullif(current_setting('neonctl.correlation_id', true), ''));
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_accounts_kept BEFORE DELETE OR TRUNCATE ON accounts.accounts
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_accounts_birth BEFORE INSERT ON accounts.accounts
FOR EACH ROW EXECUTE FUNCTION accounts.account_birth();
CREATE TRIGGER trg_accounts_money BEFORE UPDATE OF balance, available_balance, version, log_seq, log_head, last_posted_at, hold_seq,
    hold_head, allows_debit, allows_credit, shards, overdraft_limit, product_code, held_jointly, obr_partitioned, obr_frozen_amount,
    obr_available_amount ON accounts.accounts
FOR EACH STATEMENT WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION core.refuse_direct_write();
CREATE TRIGGER trg_accounts_identity BEFORE UPDATE OF account_id, account_number, currency, jurisdiction, is_internal, opened_at,
    shard_of, idempotency_key, request_hash ON accounts.accounts
FOR EACH STATEMENT EXECUTE FUNCTION accounts.keep_identity();
CREATE TRIGGER trg_accounts_standing AFTER UPDATE OF status, restriction_reason ON accounts.accounts
FOR EACH ROW WHEN ((OLD.status, OLD.restriction_reason) IS DISTINCT FROM (NEW.status, NEW.restriction_reason))
EXECUTE FUNCTION accounts.account_standing();
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_kept;
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_birth;
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_money;
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_identity;
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_standing;

-- Holders' shares sum to 100 now and from each later moment on at which a holder comes or goes: what is entered ahead must
-- not stop an activation on the day. The account's lock makes two that add holders at once see each other.
CREATE FUNCTION accounts.check_shares() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account uuid := coalesce(NEW.account_id, OLD.account_id);
    present timestamptz;
    wrong record;
BEGIN
    -- An older snapshot would not see the holders of whom it waited for.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'holders come and go in READ COMMITTED: somebody else''s may have come meanwhile'
            USING ERRCODE = 'NB023', CONSTRAINT = 'READ_COMMITTED_REQUIRED';
    END IF;
    PERFORM FROM accounts.accounts AS a WHERE a.account_id = account FOR NO KEY UPDATE;
    present := clock_timestamp();
    SELECT m.moment, sum(h.balance_share_pct) AS shares INTO wrong
    FROM (
        SELECT present AS moment
        UNION
        SELECT x.moment
        FROM accounts.account_party_relationships AS r
        CROSS JOIN LATERAL (VALUES (r.valid_from), (r.valid_to)) AS x (moment)
        WHERE r.account_id = account AND r.role = 'HOLDER' AND x.moment > present
    ) AS m
    JOIN accounts.account_party_relationships AS h ON h.account_id = account AND h.role = 'HOLDER'
        AND h.valid_from <= m.moment AND (h.valid_to IS NULL OR h.valid_to > m.moment)
    GROUP BY m.moment
    HAVING sum(h.balance_share_pct) <> 100 -- no row: no holder
    ORDER BY m.moment
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account %: the holders'' shares sum to %, not to 100, from % on', account, wrong.shares,
            to_char(wrong.moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            USING ERRCODE = 'NB018', CONSTRAINT = 'SHARES_NOT_100';
    END IF;
    UPDATE accounts.accounts AS a
    SET held_jointly = true
    WHERE a.account_id = account AND NOT a.held_jointly AND (
        SELECT count(*) FROM accounts.account_party_relationships AS r WHERE r.account_id = account AND r.role = 'HOLDER'
    ) > 1;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER trg_acct_party_rel_shares
AFTER INSERT OR UPDATE OR DELETE ON accounts.account_party_relationships
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION accounts.check_shares();
CREATE TRIGGER trg_acct_party_rel_kept BEFORE TRUNCATE ON accounts.account_party_relationships
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
ALTER TABLE accounts.account_party_relationships ENABLE ALWAYS TRIGGER trg_acct_party_rel_shares;
ALTER TABLE accounts.account_party_relationships ENABLE ALWAYS TRIGGER trg_acct_party_rel_kept;

CREATE SEQUENCE core.account_numbers;

-- Open an account with its holders, in one call. The same key and request give the first answer again.
CREATE FUNCTION accounts.open_account(
    p_currency text, p_jurisdiction text, p_party_ids uuid [] DEFAULT '{}', p_shares numeric [] DEFAULT NULL,
    p_is_internal boolean DEFAULT false, p_overdraft_limit numeric DEFAULT 0, p_idempotency_key text DEFAULT NULL,
    p_product_code text DEFAULT NULL, p_account_number text DEFAULT NULL, p_status text DEFAULT 'ACTIVE',
    p_actor text DEFAULT NULL, p_trace_id text DEFAULT NULL, p_correlation_id text DEFAULT NULL,
    OUT account_id uuid, OUT account_number text, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holders int := coalesce(cardinality(p_party_ids), 0);
    shares numeric[] := p_shares;
    asked bytea;
    product text := coalesce(p_product_code, CASE WHEN p_is_internal THEN 'INTERNAL' ELSE 'EVERYDAY' END);
    found_hash bytea;
BEGIN
    IF holders > 0 AND shares IS NULL THEN
        shares := array_fill(trunc(100.0 / holders, 4), ARRAY[holders]);
        shares[holders] := 100 - (holders - 1) * trunc(100.0 / holders, 4);
    END IF;
    IF p_is_internal <> (holders = 0) OR cardinality(coalesce(shares, '{}')) <> holders
        OR EXISTS (SELECT FROM unnest(shares) AS s WHERE (s > 0 AND s <= 100 AND scale(s) <= 4) IS NOT TRUE)
        OR (SELECT count(DISTINCT p) FROM unnest(p_party_ids) AS p) <> holders
    THEN
        RAISE EXCEPTION 'a customer account needs different parties with a share each, an internal one has none'
            USING ERRCODE = 'NB018', CONSTRAINT = 'SHARES_INVALID';
    END IF;
    IF (p_overdraft_limit >= 0 AND p_overdraft_limit < 1e16 AND scale(p_overdraft_limit) <= 2) IS NOT TRUE THEN
        RAISE EXCEPTION 'no overdraft limit: %', p_overdraft_limit USING ERRCODE = 'NB007', CONSTRAINT = 'AMOUNT_INVALID';
    END IF;
    asked := sha256(convert_to(jsonb_build_array(p_currency, p_jurisdiction, p_party_ids,
        (SELECT array_agg(trim_scale(s) ORDER BY n) FROM unnest(shares) WITH ORDINALITY AS u (s, n)), p_is_internal,
        trim_scale(p_overdraft_limit), product, p_account_number, p_status)::text, 'UTF8'));

    account_number := coalesce(p_account_number, '99-0001-' || lpad(nextval('core.account_numbers')::text, 8, '0') || '-00');
    INSERT INTO accounts.accounts AS a (account_id, account_number, product_code, currency, jurisdiction, status, is_internal,
        overdraft_limit, idempotency_key, request_hash)
    VALUES (uuidv7(), open_account.account_number, product, p_currency, p_jurisdiction, p_status, p_is_internal,
        p_overdraft_limit::numeric(18, 2), p_idempotency_key, CASE WHEN p_idempotency_key IS NOT NULL THEN asked END)
    ON CONFLICT ON CONSTRAINT uniq_accounts_idempotency_key DO NOTHING
    RETURNING a.account_id INTO open_account.account_id;
    replayed := NOT FOUND;
    IF replayed THEN
        SELECT a.account_id, a.account_number, a.request_hash
        INTO open_account.account_id, open_account.account_number, found_hash
        FROM accounts.accounts AS a
        WHERE a.idempotency_key = p_idempotency_key;
        IF found_hash IS DISTINCT FROM asked THEN
            RAISE EXCEPTION 'this key opened account % with another request', account_id
                USING ERRCODE = 'NB008', CONSTRAINT = 'IDEMPOTENCY_KEY_REUSED';
        END IF;
        RETURN;
    END IF;
    INSERT INTO accounts.account_party_relationships (account_id, party_id, role, balance_share_pct)
    SELECT open_account.account_id, u.party, 'HOLDER', u.share
    FROM unnest(p_party_ids, shares) AS u (party, share);
END
$$;

CREATE FUNCTION accounts.set_account_status(
    p_account_id uuid, p_status text, p_restriction_reason text DEFAULT NULL, p_actor text DEFAULT NULL,
    p_trace_id text DEFAULT NULL, p_correlation_id text DEFAULT NULL,
    OUT account_id uuid, OUT status text, OUT restriction_reason text, OUT version integer, OUT changed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before accounts.accounts;
BEGIN
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE; -- before any row, as everywhere
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

-- A hot internal account: postings to it are booked on one of p_shards accounts of its own, chosen at random.
CREATE FUNCTION accounts.spread_account(p_account_id uuid, p_shards integer, OUT shards integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a accounts.accounts;
BEGIN
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE; -- before any row, as everywhere
    SELECT x.* INTO a FROM accounts.accounts AS x WHERE x.account_id = p_account_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no account %', p_account_id USING ERRCODE = 'NB004', CONSTRAINT = 'ACCOUNT_NOT_FOUND';
    END IF;
    shards := cardinality(coalesce(a.shards, '{}'));
    IF (a.is_internal AND a.shard_of IS NULL AND a.status = 'ACTIVE' AND a.restriction_reason IS NULL
        AND p_shards BETWEEN greatest(2, shards) AND 64) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'an active internal account is spread over 2 to 64 shards, never over fewer than before'
            USING ERRCODE = 'NB022', CONSTRAINT = 'SHARDS_INVALID';
    END IF;
    INSERT INTO accounts.accounts (account_id, account_number, product_code, currency, jurisdiction, status, is_internal, shard_of)
    SELECT uuidv7(), '99-0002-' || lpad(nextval('core.account_numbers')::text, 8, '0') || '-00', a.product_code, a.currency,
        a.jurisdiction, 'ACTIVE', true, p_account_id
    FROM generate_series(shards + 1, p_shards);
    shards := p_shards;
END
$$;

-- The logical account lists its shards, so that a posting finds one without another look-up.
CREATE FUNCTION accounts.list_shard() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.shard_of IS NOT NULL THEN
        UPDATE accounts.accounts AS a
        SET shards = coalesce(a.shards, '{}') || NEW.account_id
        WHERE a.account_id = NEW.shard_of AND a.is_internal AND a.shard_of IS NULL AND a.currency = NEW.currency;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'account % cannot be a shard of %', NEW.account_id, NEW.shard_of
                USING ERRCODE = 'NB022', CONSTRAINT = 'SHARDS_INVALID';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_accounts_shard_listed AFTER INSERT ON accounts.accounts
FOR EACH ROW EXECUTE FUNCTION accounts.list_shard();
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_shard_listed;

-- Postings are booked on the shards alone, so what is refused to the logical account must be refused to them.
CREATE FUNCTION accounts.shards_follow() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE accounts.accounts AS a
    SET status = NEW.status, restriction_reason = NEW.restriction_reason
    WHERE a.account_id = ANY(NEW.shards);
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_accounts_shards_follow AFTER UPDATE OF status, restriction_reason ON accounts.accounts
FOR EACH ROW WHEN (NEW.shards IS NOT NULL) EXECUTE FUNCTION accounts.shards_follow();
ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER trg_accounts_shards_follow;

CREATE VIEW accounts.spread_balances AS
SELECT
    a.account_id,
    a.currency,
    a.balance + coalesce(sum(s.balance), 0) AS balance,
    a.available_balance + coalesce(sum(s.available_balance), 0) AS available_balance,
    count(s.account_id) AS shards
FROM accounts.accounts AS a
LEFT JOIN accounts.accounts AS s ON s.account_id = ANY(a.shards)
WHERE a.shards IS NOT NULL
GROUP BY a.account_id;

COMMENT ON VIEW accounts.spread_balances IS 'Hot accounts with the sum over their shards.';

REVOKE EXECUTE ON FUNCTION
    accounts.status_rule(text, text),
    accounts.account_birth(),
    accounts.keep_identity(),
    accounts.account_standing(),
    accounts.check_shares(),
    accounts.list_shard(),
    accounts.shards_follow(),
    accounts.open_account(text, text, uuid [], numeric [], boolean, numeric, text, text, text, text, text, text, text),
    accounts.set_account_status(uuid, text, text, text, text, text),
    accounts.spread_account(uuid, integer)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    accounts.status_rule(text, text), -- the trigger of who opens an account directly asks it
    accounts.open_account(text, text, uuid [], numeric [], boolean, numeric, text, text, text, text, text, text, text),
    accounts.set_account_status(uuid, text, text, text, text, text),
    accounts.spread_account(uuid, integer)
TO bank_core_app_user;
