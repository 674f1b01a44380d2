-- squawk-ignore-file prefer-bigint-over-int, prefer-bigint-over-smallint, ban-drop-constraint, ban-create-domain-with-constraint, constraint-missing-not-valid
-- (a leg's number is small; `version` is an int in the contract; the trigger below takes the CHECK's place; the tables are
-- new)
--
-- The journal (MOD-001) and its immutable log (MOD-002): double entry, balances kept in the posting's own transaction,
-- a hash chain per account.
--
-- One trigger does and checks everything, whoever inserts. What it needs to see at once, it demands at once: all legs of
-- a transaction in one statement, numbered 1..n. With (transaction_id, leg) as key no leg can follow later, so the sums
-- need no deferred check. Tables written with every posting carry no CHECKs: Postgres parses those again in each
-- statement. Domains, and this trigger, take their place.

CREATE DOMAIN core.entry_side AS text CONSTRAINT chk_entry_side CHECK (VALUE IN ('DEBIT', 'CREDIT'));
-- A day that every program can read: date itself also knows infinity and years before Christ.
CREATE DOMAIN core.book_date AS date CONSTRAINT chk_book_date CHECK (VALUE >= '1900-01-01' AND VALUE <= '9999-12-31');

CREATE TABLE accounts.transactions (
    transaction_id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT transactions_pkey PRIMARY KEY,
    idempotency_key core.idempotency_key NOT NULL CONSTRAINT uniq_transactions_idempotency_key UNIQUE,
    source_module text NOT NULL DEFAULT 'MOD-001',
    description text,
    reverses_transaction_id uuid,
    posting_date core.book_date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date,
    value_date core.book_date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date,
    trace_id text,
    correlation_id text,
    created_by text NOT NULL DEFAULT session_user,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE accounts.postings (
    transaction_id uuid NOT NULL,
    leg smallint NOT NULL,
    account_id uuid NOT NULL,
    entry_type core.entry_side NOT NULL,
    amount core.positive_amount NOT NULL,
    currency text NOT NULL,
    CONSTRAINT postings_pkey PRIMARY KEY (transaction_id, leg)
);

-- An empty header cannot commit: its first leg must be there by then. A foreign key would say the same at twice the price,
-- and fall silent under session_replication_role = replica.
-- Being deferred it runs as the function's owner, yet with the search_path of whoever commits: so its operators have names.
CREATE FUNCTION accounts.require_legs() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM
    FROM accounts.postings AS p
    WHERE p.transaction_id OPERATOR(pg_catalog.=) NEW.transaction_id AND p.leg OPERATOR(pg_catalog.=) 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'transaction % has no legs', NEW.transaction_id
            USING ERRCODE = 'NB002', CONSTRAINT = 'INCOMPLETE_TRANSACTION';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER trg_transactions_have_legs AFTER INSERT ON accounts.transactions
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION accounts.require_legs();
ALTER TABLE accounts.transactions ENABLE ALWAYS TRIGGER trg_transactions_have_legs;

CREATE TABLE accounts.reversals (
    reversed_transaction_id uuid NOT NULL CONSTRAINT reversals_pkey PRIMARY KEY
    CONSTRAINT fk_reversals_reversed REFERENCES accounts.transactions (transaction_id),
    transaction_id uuid NOT NULL CONSTRAINT uniq_reversals_transaction_id UNIQUE
    CONSTRAINT fk_reversals_transaction_id REFERENCES accounts.transactions (transaction_id)
);

CREATE TABLE core.transaction_log (
    account_id uuid NOT NULL,
    seq bigint NOT NULL,
    transaction_id uuid NOT NULL,
    leg smallint NOT NULL,
    entry_type text NOT NULL,
    amount numeric(18, 2) NOT NULL,
    currency text NOT NULL,
    balance_after numeric(18, 2) NOT NULL,
    available_after numeric(18, 2) NOT NULL,
    account_version integer NOT NULL,
    posting_date date NOT NULL,
    value_date date NOT NULL,
    posted_at timestamptz NOT NULL,
    transaction_hash bytea NOT NULL,
    prev_hash bytea NOT NULL,
    row_hash bytea NOT NULL,
    CONSTRAINT transaction_log_pkey PRIMARY KEY (account_id, seq),
    CONSTRAINT uniq_transaction_log_leg UNIQUE (transaction_id, leg)
);

COMMENT ON TABLE accounts.transactions IS 'Journal transactions: who asked for what, under which key. Append-only.';
COMMENT ON TABLE accounts.postings IS 'Legs of journal transactions. Append-only; corrections are reversals.';
COMMENT ON TABLE accounts.reversals IS 'Which transaction was reversed by which: once. Append-only, written by trigger.';
COMMENT ON TABLE core.transaction_log IS 'Each posting with the balances after it, chained by hash per account. Append-only, written by trigger.';
COMMENT ON COLUMN core.transaction_log.posted_at IS 'Read from the clock while all accounts of the transaction were locked; never decreases along an account''s seq.';

-- MOD-003's pattern for what must not be tampered with: policies for reading and adding only, for the owner too. Rows
-- without a policy would be skipped silently; the statement triggers make it an error.
ALTER TABLE core.transaction_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE core.transaction_log FORCE ROW LEVEL SECURITY;
CREATE POLICY transaction_log_read ON core.transaction_log FOR SELECT USING (true);
CREATE POLICY transaction_log_add ON core.transaction_log FOR INSERT TO bank_core_migrate_user WITH CHECK (true);

CREATE TRIGGER trg_transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts.transactions
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_postings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts.postings
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_reversals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts.reversals
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_reversals_written_by_trigger BEFORE INSERT ON accounts.reversals
FOR EACH STATEMENT WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION core.refuse_direct_write();
CREATE TRIGGER trg_transaction_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.transaction_log
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_transaction_log_written_by_trigger BEFORE INSERT ON core.transaction_log
FOR EACH STATEMENT WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION core.refuse_direct_write();
ALTER TABLE accounts.transactions ENABLE ALWAYS TRIGGER trg_transactions_append_only;
ALTER TABLE accounts.postings ENABLE ALWAYS TRIGGER trg_postings_append_only;
ALTER TABLE accounts.reversals ENABLE ALWAYS TRIGGER trg_reversals_append_only;
ALTER TABLE accounts.reversals ENABLE ALWAYS TRIGGER trg_reversals_written_by_trigger;
ALTER TABLE core.transaction_log ENABLE ALWAYS TRIGGER trg_transaction_log_append_only;
ALTER TABLE core.transaction_log ENABLE ALWAYS TRIGGER trg_transaction_log_written_by_trigger;

-- Something about these legs is wrong: say what, by the first leg concerned. Returns when the figures on the account
-- only looked too small because of holds that have expired.
CREATE FUNCTION accounts.refuse_legs(
    p_legs smallint [], p_account_ids uuid [], p_entry_types text [], p_currencies text [],
    p_one_transaction boolean, p_balanced boolean
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    l record;
BEGIN
    IF NOT p_one_transaction OR cardinality(p_legs) < 2
        OR p_legs <> (SELECT array_agg(n::smallint) FROM generate_series(1, cardinality(p_legs)) AS n)
    THEN
        RAISE EXCEPTION 'a transaction has two legs at least, numbered from 1, in one statement'
            USING ERRCODE = 'NB002', CONSTRAINT = 'INCOMPLETE_TRANSACTION';
    END IF;
    FOR l IN
        SELECT u.leg, u.account_id, u.currency, a.currency AS account_currency
        FROM unnest(p_legs, p_account_ids, p_currencies) AS u (leg, account_id, currency)
        LEFT JOIN accounts.accounts AS a ON a.account_id = u.account_id
        ORDER BY u.leg
    LOOP
        IF l.account_currency IS NULL THEN
            RAISE EXCEPTION 'leg %: no account %', l.leg, l.account_id
                USING ERRCODE = 'NB004', CONSTRAINT = 'ACCOUNT_NOT_FOUND';
        ELSIF l.currency <> l.account_currency THEN
            RAISE EXCEPTION 'leg %: account % is kept in %, not in %', l.leg, l.account_id, l.account_currency, l.currency
                USING ERRCODE = 'NB006', CONSTRAINT = 'CURRENCY_MISMATCH';
        END IF;
    END LOOP;
    IF NOT p_balanced THEN
        RAISE EXCEPTION 'debits and credits differ' USING ERRCODE = 'NB001', CONSTRAINT = 'UNBALANCED_TRANSACTION';
    END IF;
    FOR l IN
        SELECT u.leg, u.entry_type, a.account_id, a.status, a.restriction_reason, a.allows_debit, a.allows_credit,
            a.is_internal, a.available_balance + a.overdraft_limit AS spendable
        FROM unnest(p_legs, p_account_ids, p_entry_types) AS u (leg, account_id, entry_type)
        JOIN accounts.accounts AS a ON a.account_id = u.account_id
        ORDER BY u.leg
    LOOP
        IF NOT (CASE l.entry_type WHEN 'DEBIT' THEN l.allows_debit ELSE l.allows_credit END) THEN
            RAISE EXCEPTION 'leg %: account % takes no %: it is %', l.leg, l.account_id, lower(l.entry_type),
                concat_ws(' ', l.status, l.restriction_reason)
                USING ERRCODE = 'NB005', CONSTRAINT = (accounts.status_rule(l.status, l.restriction_reason)).refusal;
        ELSIF l.entry_type = 'DEBIT' AND NOT l.is_internal AND l.spendable < 0 AND accounts.spendable(l.account_id) < 0 THEN
            RAISE EXCEPTION 'leg %: account % has not enough available', l.leg, l.account_id
                USING ERRCODE = 'NB003', CONSTRAINT = 'INSUFFICIENT_FUNDS';
        END IF;
    END LOOP;
END
$$;

-- A reversal mirrors the original leg by leg, and there is one at most.
CREATE FUNCTION accounts.record_reversal(p_reversed uuid, p_transaction_id uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM accounts.reversals AS r WHERE r.transaction_id = p_reversed) THEN
        RAISE EXCEPTION 'transaction % is a reversal itself: post again what it took back', p_reversed
            USING ERRCODE = 'NB011', CONSTRAINT = 'REVERSAL_OF_REVERSAL';
    END IF;
    IF EXISTS (
        SELECT
        FROM (SELECT p.* FROM accounts.postings AS p WHERE p.transaction_id = p_reversed) AS o
        FULL JOIN (SELECT p.* FROM accounts.postings AS p WHERE p.transaction_id = p_transaction_id) AS r ON r.leg = o.leg
        WHERE (o.account_id, o.amount, o.currency) IS DISTINCT FROM (r.account_id, r.amount, r.currency)
            OR o.entry_type IS NOT DISTINCT FROM r.entry_type
    ) THEN
        RAISE EXCEPTION 'the legs do not mirror those of transaction %', p_reversed
            USING ERRCODE = 'NB011', CONSTRAINT = 'REVERSAL_MISMATCH';
    END IF;
    INSERT INTO accounts.reversals (reversed_transaction_id, transaction_id)
    VALUES (p_reversed, p_transaction_id)
    ON CONFLICT (reversed_transaction_id) DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'transaction % was reversed before', p_reversed
            USING ERRCODE = 'NB011', CONSTRAINT = 'ALREADY_REVERSED';
    END IF;
END
$$;

-- Legs of any number: an account may be among them several times.
CREATE FUNCTION accounts.apply_legs(
    p_header accounts.transactions, p_hash bytea, p_legs smallint [], p_account_ids uuid [], p_entry_types text [],
    p_amounts numeric [], p_currencies text [], p_one_transaction boolean
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    balanced boolean;
    moment timestamptz;
    l record;
    a record;
    moved bigint := 0;
    -- In order and each once, so first and last say that they are 1..n.
    fine boolean := p_one_transaction AND cardinality(p_legs) >= 2 AND p_legs[1] = 1
        AND p_legs[cardinality(p_legs)] = cardinality(p_legs);
BEGIN
    SELECT coalesce(sum(CASE u.side WHEN 'DEBIT' THEN -u.amount ELSE u.amount END) FILTER (WHERE u.currency = 'NZD'), 0) = 0
        AND coalesce(sum(CASE u.side WHEN 'DEBIT' THEN -u.amount ELSE u.amount END) FILTER (WHERE u.currency <> 'NZD'), 0) = 0
    INTO balanced
    FROM unnest(p_entry_types, p_amounts, p_currencies) AS u (side, amount, currency);
    -- Every account is locked, in the order of their ids, before the clock is read: one moment for all legs, and never an
    -- earlier one than an account has seen already, even if the clock steps back.
    SELECT greatest(clock_timestamp(), max(locked.last_posted_at))
    INTO moment
    FROM (
        SELECT x.last_posted_at
        FROM accounts.accounts AS x
        WHERE x.account_id = ANY(p_account_ids)
        ORDER BY x.account_id
        FOR NO KEY UPDATE
    ) AS locked;
    -- Credits first: an account may appear on both sides.
    FOR l IN
        SELECT u.leg, u.account_id, u.entry_type, u.amount, u.currency,
            (CASE u.entry_type WHEN 'DEBIT' THEN -u.amount ELSE u.amount END)::numeric(18, 2) AS signed,
            u.leg + CASE u.currency WHEN 'NZD' THEN 65536 WHEN 'AUD' THEN 131072 ELSE 0 END AS kind
        FROM unnest(p_legs, p_account_ids, p_entry_types, p_amounts, p_currencies)
            AS u (leg, account_id, entry_type, amount, currency)
        ORDER BY u.entry_type, u.leg
    LOOP
        UPDATE accounts.accounts AS x
        SET balance = x.balance + l.signed,
            available_balance = x.available_balance + l.signed,
            obr_available_amount = CASE WHEN x.obr_partitioned
                THEN greatest(x.balance + l.signed - x.obr_frozen_amount, 0) ELSE x.obr_available_amount END,
            version = x.version + 1,
            log_seq = x.log_seq + 1,
            last_posted_at = moment,
            log_head = sha256((x.log_head || p_hash) || ((uuid_send(x.account_id) || uuid_send(p_header.transaction_id))
                || ((int8send(x.log_seq + 1) || int8send((x.version + 1) * 4294967296 + l.kind))
                || ((numeric_send(l.signed) || numeric_send(x.balance + l.signed))
                || (numeric_send(x.available_balance + l.signed) || timestamptz_send(moment))))))
        WHERE x.account_id = l.account_id
        RETURNING WITH (OLD AS before, NEW AS after) after.balance, after.available_balance, after.version, after.log_seq,
            before.log_head AS prev_hash, after.log_head, l.currency = after.currency AND CASE l.entry_type
                WHEN 'DEBIT'
                    THEN after.allows_debit AND (after.is_internal OR after.available_balance + after.overdraft_limit >= 0)
                ELSE after.allows_credit
            END AS fine
        INTO a;
        EXIT WHEN NOT FOUND;
        INSERT INTO core.transaction_log (account_id, seq, transaction_id, leg, entry_type, amount, currency, balance_after,
            available_after, account_version, posting_date, value_date, posted_at, transaction_hash, prev_hash, row_hash)
        VALUES (l.account_id, a.log_seq, p_header.transaction_id, l.leg, l.entry_type, l.amount, l.currency, a.balance,
            a.available_balance, a.version, p_header.posting_date, p_header.value_date, moment, p_hash, a.prev_hash, a.log_head);
        fine := fine AND a.fine;
        moved := moved + 1;
    END LOOP;
    IF NOT (fine AND balanced AND moved = cardinality(p_legs)) THEN
        PERFORM accounts.refuse_legs(p_legs, p_account_ids, p_entry_types, p_currencies, p_one_transaction, balanced);
    END IF;
    INSERT INTO core.outbox (event_type, aggregate_id, account_ids, trace_id, correlation_id)
    VALUES ('bank.core.posting_completed', p_header.transaction_id, p_account_ids, p_header.trace_id, p_header.correlation_id);
END
$$;

-- Two legs that move an amount from one account to another are most of what a bank posts: for them alone everything is
-- done in as few and as plain statements as can be. All else goes the long way.
CREATE FUNCTION accounts.apply_postings() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    p record;
    header accounts.transactions;
    hash bytea;
    moment timestamptz;
    a record;
    b record;
BEGIN
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE;
    -- For the chain's hash: amounts with two decimals, as they are kept, and the currency and the leg in one number. Fewer
    -- pieces to put together are less to do, here and in each proof.
    SELECT d.transaction_id, d.account_id AS a_id, d.entry_type AS a_type, c.account_id AS b_id, c.entry_type AS b_type,
        d.amount, (CASE d.entry_type WHEN 'DEBIT' THEN -d.amount ELSE d.amount END)::numeric(18, 2) AS signed, d.currency,
        CASE d.currency WHEN 'NZD' THEN 65536 WHEN 'AUD' THEN 131072 ELSE 0 END AS kind,
        d.transaction_id = c.transaction_id AND d.account_id <> c.account_id AND d.entry_type <> c.entry_type
            AND d.amount = c.amount AND d.currency = c.currency AND (SELECT count(*) FROM new_legs) = 2 AS plain
    INTO p
    FROM new_legs AS d
    JOIN new_legs AS c ON c.leg = 2
    WHERE d.leg = 1;
    IF NOT FOUND THEN
        SELECT any_value(n.transaction_id) AS transaction_id, false AS plain INTO p FROM new_legs AS n;
        IF p.transaction_id IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    SELECT t.* INTO header FROM accounts.transactions AS t WHERE t.transaction_id = p.transaction_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'postings without a transaction: its header comes first'
            USING ERRCODE = 'NB010', CONSTRAINT = 'TRANSACTION_NOT_FOUND';
    END IF;
    IF header.reverses_transaction_id IS NOT NULL THEN
        PERFORM accounts.record_reversal(header.reverses_transaction_id, header.transaction_id);
    END IF;
    hash := sha256((uuid_send(header.transaction_id) || timestamptz_send(header.created_at))
        || (date_send(header.posting_date) || date_send(header.value_date))
        || convert_to(concat_ws(':', octet_length(header.idempotency_key), header.idempotency_key,
            octet_length(header.source_module), header.source_module, octet_length(header.created_by), header.created_by,
            'd' || octet_length(header.description), header.description, 't' || octet_length(header.trace_id),
            header.trace_id, 'c' || octet_length(header.correlation_id), header.correlation_id,
            'r' || header.reverses_transaction_id), 'UTF8'));
    IF NOT p.plain THEN
        PERFORM accounts.apply_legs(header, hash, array_agg(n.leg ORDER BY n.leg), array_agg(n.account_id ORDER BY n.leg),
            array_agg(n.entry_type::text ORDER BY n.leg), array_agg(n.amount::numeric ORDER BY n.leg),
            array_agg(n.currency ORDER BY n.leg), count(DISTINCT n.transaction_id) = 1)
        FROM new_legs AS n;
        RETURN NULL;
    END IF;

    -- Both accounts are locked, in the order of their ids, before the clock is read: as in apply_legs.
    SELECT x.last_posted_at INTO a FROM accounts.accounts AS x WHERE x.account_id = least(p.a_id, p.b_id) FOR NO KEY UPDATE;
    SELECT x.last_posted_at INTO b FROM accounts.accounts AS x WHERE x.account_id = greatest(p.a_id, p.b_id) FOR NO KEY UPDATE;
    moment := greatest(clock_timestamp(), a.last_posted_at, b.last_posted_at);
    UPDATE accounts.accounts AS x
    SET balance = x.balance + p.signed,
        available_balance = x.available_balance + p.signed,
        obr_available_amount = CASE WHEN x.obr_partitioned
            THEN greatest(x.balance + p.signed - x.obr_frozen_amount, 0) ELSE x.obr_available_amount END,
        version = x.version + 1,
        log_seq = x.log_seq + 1,
        last_posted_at = moment,
        log_head = sha256((x.log_head || hash) || ((uuid_send(x.account_id) || uuid_send(p.transaction_id))
            || ((int8send(x.log_seq + 1) || int8send((x.version + 1) * 4294967296 + (p.kind + 1)))
            || ((numeric_send(p.signed) || numeric_send(x.balance + p.signed))
            || (numeric_send(x.available_balance + p.signed) || timestamptz_send(moment))))))
    WHERE x.account_id = p.a_id
    RETURNING WITH (OLD AS before, NEW AS after) after.balance, after.available_balance, after.version, after.log_seq,
        before.log_head AS prev_hash, after.log_head, p.currency = after.currency AND CASE p.a_type
            WHEN 'DEBIT'
                THEN after.allows_debit AND (after.is_internal OR after.available_balance + after.overdraft_limit >= 0)
            ELSE after.allows_credit
        END AS fine
    INTO a;
    UPDATE accounts.accounts AS x
    SET balance = x.balance - p.signed,
        available_balance = x.available_balance - p.signed,
        obr_available_amount = CASE WHEN x.obr_partitioned
            THEN greatest(x.balance - p.signed - x.obr_frozen_amount, 0) ELSE x.obr_available_amount END,
        version = x.version + 1,
        log_seq = x.log_seq + 1,
        last_posted_at = moment,
        log_head = sha256((x.log_head || hash) || ((uuid_send(x.account_id) || uuid_send(p.transaction_id))
            || ((int8send(x.log_seq + 1) || int8send((x.version + 1) * 4294967296 + (p.kind + 2)))
            || ((numeric_send(-p.signed) || numeric_send(x.balance - p.signed))
            || (numeric_send(x.available_balance - p.signed) || timestamptz_send(moment))))))
    WHERE x.account_id = p.b_id
    RETURNING WITH (OLD AS before, NEW AS after) after.balance, after.available_balance, after.version, after.log_seq,
        before.log_head AS prev_hash, after.log_head, p.currency = after.currency AND CASE p.b_type
            WHEN 'DEBIT'
                THEN after.allows_debit AND (after.is_internal OR after.available_balance + after.overdraft_limit >= 0)
            ELSE after.allows_credit
        END AS fine
    INTO b;
    IF (a.fine AND b.fine) IS NOT TRUE THEN
        PERFORM accounts.refuse_legs(ARRAY[1, 2]::smallint[], ARRAY[p.a_id, p.b_id], ARRAY[p.a_type, p.b_type]::text[],
            ARRAY[p.currency, p.currency], true, true);
    END IF;
    INSERT INTO core.transaction_log (account_id, seq, transaction_id, leg, entry_type, amount, currency, balance_after,
        available_after, account_version, posting_date, value_date, posted_at, transaction_hash, prev_hash, row_hash)
    VALUES (p.a_id, a.log_seq, p.transaction_id, 1, p.a_type, p.amount, p.currency, a.balance, a.available_balance, a.version,
        header.posting_date, header.value_date, moment, hash, a.prev_hash, a.log_head),
    (p.b_id, b.log_seq, p.transaction_id, 2, p.b_type, p.amount, p.currency, b.balance, b.available_balance, b.version,
        header.posting_date, header.value_date, moment, hash, b.prev_hash, b.log_head);
    INSERT INTO core.outbox (event_type, aggregate_id, account_ids, trace_id, correlation_id)
    VALUES ('bank.core.posting_completed', p.transaction_id, ARRAY[p.a_id, p.b_id], header.trace_id, header.correlation_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_postings_applied AFTER INSERT ON accounts.postings REFERENCING NEW TABLE AS new_legs
FOR EACH STATEMENT EXECUTE FUNCTION accounts.apply_postings();
ALTER TABLE accounts.postings ENABLE ALWAYS TRIGGER trg_postings_applied;

-- From here on nothing else moves a balance, and the trigger knows about overdrafts.
ALTER TABLE accounts.accounts DROP CONSTRAINT chk_accounts_not_overdrawn;

-- Is this what the transaction was posted with? Shards count as the account that they belong to.
CREATE FUNCTION accounts.same_request(
    p_transaction accounts.transactions, p_account_ids uuid [], p_entry_types text [], p_amounts numeric [], p_currencies text [],
    p_posting_date date, p_value_date date, p_source_module text, p_description text
) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT (p_transaction).source_module = p_source_module
        AND (p_transaction).description IS NOT DISTINCT FROM p_description
        AND (p_transaction).posting_date = coalesce(p_posting_date, (p_transaction).posting_date)
        AND (p_transaction).value_date = coalesce(p_value_date, (p_transaction).value_date)
        AND NOT EXISTS (
            SELECT
            FROM unnest(p_account_ids, p_entry_types, p_amounts, p_currencies)
                WITH ORDINALITY AS asked (account_id, entry_type, amount, currency, leg)
            FULL JOIN (
                SELECT p.leg, p.account_id, p.entry_type, p.amount, p.currency, a.shard_of
                FROM accounts.postings AS p
                JOIN accounts.accounts AS a ON a.account_id = p.account_id
                WHERE p.transaction_id = (p_transaction).transaction_id
            ) AS booked ON booked.leg = asked.leg
            WHERE (asked.account_id = booked.account_id OR asked.account_id = booked.shard_of) IS NOT TRUE
                OR (asked.entry_type, asked.amount, coalesce(asked.currency, booked.currency))
                IS DISTINCT FROM (booked.entry_type, booked.amount, booked.currency)
        )
$$;

-- Post a transaction of any number of legs: one round trip. The same key and payload give the first answer again.
-- Plans are kept: planning anew for the length of an array costs more than the posting.
CREATE FUNCTION accounts.post_transaction(
    p_idempotency_key text, p_account_ids uuid [], p_entry_types text [], p_amounts numeric [],
    p_currencies text [] DEFAULT NULL, p_posting_date date DEFAULT NULL, p_value_date date DEFAULT NULL,
    p_source_module text DEFAULT 'MOD-001', p_description text DEFAULT NULL, p_trace_id text DEFAULT NULL,
    p_correlation_id text DEFAULT NULL, p_reverses_transaction_id uuid DEFAULT NULL,
    OUT transaction_id uuid, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    legs integer := cardinality(p_account_ids);
    day date := coalesce(p_posting_date, (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date);
    share float8 := random();
    ids uuid[] := p_account_ids;
    currencies text[] := p_currencies;
    a record;
    first accounts.transactions;
BEGIN
    IF (legs BETWEEN 2 AND 10000 AND cardinality(p_entry_types) = legs AND cardinality(p_amounts) = legs
        AND (p_currencies IS NULL OR cardinality(p_currencies) = legs)) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'a transaction has 2 to 10000 legs, each with account, entry type and amount'
            USING ERRCODE = 'NB002', CONSTRAINT = 'INCOMPLETE_TRANSACTION';
    END IF;
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE;
    transaction_id := uuidv7();
    INSERT INTO accounts.transactions (transaction_id, idempotency_key, source_module, description, reverses_transaction_id,
        posting_date, value_date, trace_id, correlation_id)
    VALUES (post_transaction.transaction_id, p_idempotency_key, p_source_module, p_description, p_reverses_transaction_id,
        day, coalesce(p_value_date, day), p_trace_id, p_correlation_id)
    ON CONFLICT ON CONSTRAINT uniq_transactions_idempotency_key DO NOTHING;
    replayed := NOT FOUND;
    IF replayed THEN
        SELECT t.* INTO first FROM accounts.transactions AS t WHERE t.idempotency_key = p_idempotency_key;
        IF first.reverses_transaction_id IS DISTINCT FROM p_reverses_transaction_id OR NOT accounts.same_request(first,
            p_account_ids, p_entry_types, p_amounts, p_currencies, p_posting_date, p_value_date, p_source_module, p_description)
        THEN
            RAISE EXCEPTION 'this key posted transaction % with another request', first.transaction_id
                USING ERRCODE = 'NB008', CONSTRAINT = 'IDEMPOTENCY_KEY_REUSED';
        END IF;
        transaction_id := first.transaction_id;
        RETURN;
    END IF;
    FOR n IN 1 .. legs LOOP
        IF (p_amounts[n] > 0 AND p_amounts[n] < 1e16 AND scale(p_amounts[n]) <= 2) IS NOT TRUE THEN
            RAISE EXCEPTION 'no amount to post: %', p_amounts[n] USING ERRCODE = 'NB007', CONSTRAINT = 'AMOUNT_INVALID';
        END IF;
        SELECT x.currency, x.shards INTO a FROM accounts.accounts AS x WHERE x.account_id = p_account_ids[n];
        IF a.shards IS NOT NULL AND p_reverses_transaction_id IS NULL THEN
            ids[n] := a.shards[1 + floor(share * cardinality(a.shards))::integer];
        END IF;
        IF p_currencies IS NULL THEN
            currencies[n] := coalesce(a.currency, ''); -- no account: the trigger says so
        END IF;
    END LOOP;
    IF legs = 2 THEN
        INSERT INTO accounts.postings (transaction_id, leg, account_id, entry_type, amount, currency)
        VALUES (post_transaction.transaction_id, 1, ids[1], p_entry_types[1], p_amounts[1]::numeric(18, 2), currencies[1]),
        (post_transaction.transaction_id, 2, ids[2], p_entry_types[2], p_amounts[2]::numeric(18, 2), currencies[2]);
    ELSE
        INSERT INTO accounts.postings (transaction_id, leg, account_id, entry_type, amount, currency)
        SELECT post_transaction.transaction_id, l.leg, l.account_id, l.entry_type, l.amount::numeric(18, 2), l.currency
        FROM unnest(ids, p_entry_types, p_amounts, currencies) WITH ORDINALITY
            AS l (account_id, entry_type, amount, currency, leg);
    END IF;
END
$$;

-- Corrections are reversals: the same legs on the other side, once.
CREATE FUNCTION accounts.reverse_transaction(
    p_transaction_id uuid, p_idempotency_key text, p_description text DEFAULT NULL, p_source_module text DEFAULT 'MOD-001',
    p_trace_id text DEFAULT NULL, p_correlation_id text DEFAULT NULL,
    OUT transaction_id uuid, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids uuid[];
    sides text[];
    amounts numeric[];
BEGIN
    SELECT array_agg(p.account_id ORDER BY p.leg),
        array_agg(CASE p.entry_type WHEN 'DEBIT' THEN 'CREDIT' ELSE 'DEBIT' END ORDER BY p.leg),
        array_agg(p.amount::numeric ORDER BY p.leg)
    INTO ids, sides, amounts
    FROM accounts.postings AS p
    WHERE p.transaction_id = p_transaction_id;
    IF ids IS NULL THEN
        RAISE EXCEPTION 'no transaction %', p_transaction_id USING ERRCODE = 'NB010', CONSTRAINT = 'TRANSACTION_NOT_FOUND';
    END IF;
    SELECT r.transaction_id, r.replayed
    INTO reverse_transaction.transaction_id, reverse_transaction.replayed
    FROM accounts.post_transaction(p_idempotency_key, ids, sides, amounts, NULL, NULL, NULL, p_source_module, p_description,
        p_trace_id, p_correlation_id, p_transaction_id) AS r;
END
$$;

REVOKE EXECUTE ON FUNCTION
    accounts.refuse_legs(smallint [], uuid [], text [], text [], boolean, boolean),
    accounts.record_reversal(uuid, uuid),
    accounts.require_legs(),
    accounts.apply_legs(accounts.transactions, bytea, smallint [], uuid [], text [], numeric [], text [], boolean),
    accounts.apply_postings(),
    accounts.same_request(accounts.transactions, uuid [], text [], numeric [], text [], date, date, text, text),
    accounts.post_transaction(text, uuid [], text [], numeric [], text [], date, date, text, text, text, text, uuid),
    accounts.reverse_transaction(uuid, text, text, text, text, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    accounts.post_transaction(text, uuid [], text [], numeric [], text [], date, date, text, text, text, text, uuid),
    accounts.reverse_transaction(uuid, text, text, text, text, text)
TO bank_core_app_user;
