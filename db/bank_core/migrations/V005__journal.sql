-- squawk-ignore-file prefer-bigint-over-int, prefer-bigint-over-smallint, ban-drop-constraint
-- (a leg's number is small; `version` is an int in the contract; the trigger below takes the CHECK's place)
--
-- The journal (MOD-001) and its immutable log (MOD-002): double entry, balances kept in the posting's own transaction,
-- a hash chain per account.
--
-- One trigger does and checks everything, whoever inserts. What it needs to see at once, it demands at once: all legs of
-- a transaction in one statement, numbered 1..n. With (transaction_id, leg) as key no leg can follow later, so the sums
-- need no deferred check. Tables written with every posting carry no CHECKs: Postgres parses those again in each
-- statement. Domains, and this trigger, take their place.

CREATE DOMAIN core.entry_side AS text CONSTRAINT chk_entry_side CHECK (VALUE IN ('DEBIT', 'CREDIT'));
CREATE DOMAIN core.module_code AS text CONSTRAINT chk_module_code CHECK (octet_length(VALUE) BETWEEN 1 AND 50);
CREATE DOMAIN core.description AS text CONSTRAINT chk_description CHECK (octet_length(VALUE) <= 1000);

CREATE TABLE accounts.transactions (
    transaction_id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT transactions_pkey PRIMARY KEY,
    idempotency_key core.idempotency_key NOT NULL CONSTRAINT uniq_transactions_idempotency_key UNIQUE,
    source_module core.module_code NOT NULL DEFAULT 'MOD-001',
    description core.description,
    reverses_transaction_id uuid,
    posting_date date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date,
    value_date date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date,
    trace_id core.trace_text,
    correlation_id core.trace_text,
    created_by text NOT NULL DEFAULT session_user,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    first_leg smallint NOT NULL DEFAULT 1
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

-- An empty header cannot commit: its first leg must be there by then.
ALTER TABLE accounts.transactions ADD CONSTRAINT fk_transactions_first_leg
FOREIGN KEY (transaction_id, first_leg) REFERENCES accounts.postings (transaction_id, leg) DEFERRABLE INITIALLY DEFERRED;

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
COMMENT ON COLUMN accounts.transactions.first_leg IS 'Always 1: what the deferred foreign key looks for.';
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
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_direct_write();
CREATE TRIGGER trg_transaction_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.transaction_log
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_transaction_log_written_by_trigger BEFORE INSERT ON core.transaction_log
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_direct_write();
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
    p_one_transaction boolean
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    l record;
BEGIN
    IF NOT p_one_transaction OR cardinality(p_legs) < 2 OR p_legs <> (SELECT array_agg(n::smallint) FROM generate_series(1, cardinality(p_legs)) AS n) THEN
        RAISE EXCEPTION 'a transaction has two legs at least, numbered from 1, in one statement'
            USING ERRCODE = 'NB002', CONSTRAINT = 'INCOMPLETE_TRANSACTION';
    END IF;
    FOR l IN
        SELECT u.leg, u.account_id, u.entry_type, u.currency, a.account_id IS NOT NULL AS known,
            a.currency AS account_currency, a.status, a.restriction_reason, a.allows_debit, a.allows_credit, a.is_internal,
            a.available_balance + a.overdraft_limit AS spendable
        FROM unnest(p_legs, p_account_ids, p_entry_types, p_currencies) AS u (leg, account_id, entry_type, currency)
        LEFT JOIN accounts.accounts AS a ON a.account_id = u.account_id
        ORDER BY u.leg
    LOOP
        IF NOT l.known THEN
            RAISE EXCEPTION 'leg %: no account %', l.leg, l.account_id
                USING ERRCODE = 'NB004', CONSTRAINT = 'ACCOUNT_NOT_FOUND';
        ELSIF l.currency <> l.account_currency THEN
            RAISE EXCEPTION 'leg %: account % is kept in %, not in %', l.leg, l.account_id, l.account_currency, l.currency
                USING ERRCODE = 'NB006', CONSTRAINT = 'CURRENCY_MISMATCH';
        ELSIF NOT (CASE l.entry_type WHEN 'DEBIT' THEN l.allows_debit ELSE l.allows_credit END) THEN
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

CREATE FUNCTION accounts.apply_postings() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_id uuid;
    ids uuid[];
    count_legs bigint;
    last_leg smallint;
    balanced boolean;
    found_accounts bigint;
    moment timestamptz;
    picked smallint[]; -- NULL: all at once
    round integer := 0;
    rounds integer := 1;
    moved_legs bigint := 0;
    n bigint;
    plain boolean;
    fine boolean := true;
    reversed uuid;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(1313620290, 1);
    SELECT any_value(l.transaction_id), array_agg(l.account_id), count(*), max(l.leg),
        coalesce(sum(CASE l.entry_type WHEN 'DEBIT' THEN -l.amount ELSE l.amount END) FILTER (WHERE l.currency = 'NZD'), 0) = 0
            AND coalesce(sum(CASE l.entry_type WHEN 'DEBIT' THEN -l.amount ELSE l.amount END) FILTER (WHERE l.currency <> 'NZD'), 0) = 0
    INTO v_id, ids, count_legs, last_leg, balanced
    FROM new_legs AS l;
    IF v_id IS NULL THEN
        RETURN NULL; -- nothing was inserted
    END IF;

    -- Every account is locked, in the order of their ids, before the clock is read: one moment for all legs, and never an
    -- earlier one than an account has seen already, even if the clock steps back.
    SELECT count(*), greatest(clock_timestamp(), max(a.last_posted_at))
    INTO found_accounts, moment
    FROM (
        SELECT x.last_posted_at
        FROM accounts.accounts AS x
        WHERE x.account_id = ANY(ids)
        ORDER BY x.account_id
        FOR NO KEY UPDATE
    ) AS a;

    -- An account with several legs moves several times, by its credits first.
    IF found_accounts <> count_legs THEN
        SELECT max(c.times) INTO rounds FROM (SELECT count(*) AS times FROM unnest(ids) AS i GROUP BY i) AS c;
    END IF;
    WHILE round < rounds LOOP
        round := round + 1;
        IF rounds > 1 THEN
            SELECT array_agg(r.leg) INTO picked
            FROM (
                SELECT l.leg, row_number() OVER (PARTITION BY l.account_id ORDER BY l.entry_type, l.leg) AS turn
                FROM new_legs AS l
            ) AS r
            WHERE r.turn = round;
        END IF;
        WITH header AS MATERIALIZED (
            SELECT t.*, sha256(uuid_send(t.transaction_id)
                || coalesce(uuid_send(t.reverses_transaction_id), '\x00000000000000000000000000000000')
                || date_send(t.posting_date) || date_send(t.value_date) || timestamptz_send(t.created_at)
                || convert_to(concat(octet_length(t.idempotency_key), ':', t.idempotency_key, octet_length(t.source_module), ':',
                    t.source_module, octet_length(t.description), ':', t.description, octet_length(t.trace_id), ':', t.trace_id,
                    octet_length(t.correlation_id), ':', t.correlation_id, octet_length(t.created_by), ':', t.created_by), 'UTF8')
            ) AS hash
            FROM accounts.transactions AS t
            WHERE t.transaction_id = v_id
        ), moved AS (
            UPDATE accounts.accounts AS a
            SET balance = a.balance + l.signed,
                available_balance = a.available_balance + l.signed,
                version = a.version + 1,
                log_seq = a.log_seq + 1,
                last_posted_at = moment,
                log_head = sha256(a.log_head || uuid_send(a.account_id) || int8send(a.log_seq + 1)
                    || uuid_send(l.transaction_id) || int2send(l.leg)
                    || CASE l.entry_type WHEN 'DEBIT' THEN '\x44'::bytea ELSE '\x43'::bytea END
                    || CASE l.currency WHEN 'NZD' THEN '\x4e5a44'::bytea ELSE '\x415544'::bytea END
                    || int8send((l.amount * 100)::bigint) || int8send(((a.balance + l.signed) * 100)::bigint)
                    || int8send(((a.available_balance + l.signed) * 100)::bigint) || int4send(a.version + 1)
                    || timestamptz_send(moment) || l.hash)
            FROM (
                SELECT x.*, CASE x.entry_type WHEN 'DEBIT' THEN -x.amount ELSE x.amount END AS signed, header.hash, header.posting_date,
                    header.value_date, header.reverses_transaction_id
                FROM new_legs AS x
                JOIN header ON header.transaction_id = x.transaction_id
                WHERE picked IS NULL OR x.leg = ANY(picked)
            ) AS l
            WHERE a.account_id = l.account_id
            RETURNING WITH (OLD AS before, NEW AS after)
                l.*, after.balance, after.available_balance, after.version, after.log_seq, before.log_head AS prev_hash,
                after.log_head, l.currency = after.currency AND CASE l.entry_type
                    WHEN 'DEBIT'
                        THEN after.allows_debit
                        AND (after.is_internal OR after.available_balance + after.overdraft_limit >= 0)
                    ELSE after.allows_credit
                END AS fine
        ), logged AS (
            INSERT INTO core.transaction_log (account_id, seq, transaction_id, leg, entry_type, amount, currency, balance_after,
                available_after, account_version, posting_date, value_date, posted_at, transaction_hash, prev_hash, row_hash)
            SELECT m.account_id, m.log_seq, m.transaction_id, m.leg, m.entry_type, m.amount, m.currency, m.balance,
                m.available_balance, m.version, m.posting_date, m.value_date, moment, m.hash, m.prev_hash, m.log_head
            FROM moved AS m
        ), told AS (
            INSERT INTO core.outbox (event_type, aggregate_id, account_ids, trace_id, correlation_id)
            SELECT 'bank.core.posting_completed', v_id, ids, h.trace_id, h.correlation_id
            FROM header AS h
            WHERE round = 1
        )
        SELECT count(*), bool_and(m.fine), any_value(m.reverses_transaction_id)
        INTO n, plain, reversed
        FROM moved AS m;
        moved_legs := moved_legs + n;
        fine := fine AND plain;
    END LOOP;

    IF moved_legs = 0 AND NOT EXISTS (SELECT FROM accounts.transactions AS t WHERE t.transaction_id = v_id) THEN
        RAISE EXCEPTION 'no transaction %: its header comes first', v_id
            USING ERRCODE = 'NB010', CONSTRAINT = 'TRANSACTION_NOT_FOUND';
    END IF;
    IF fine IS NOT TRUE OR moved_legs < 2 OR moved_legs <> count_legs OR last_leg <> count_legs THEN
        PERFORM accounts.refuse_legs(array_agg(l.leg ORDER BY l.leg), array_agg(l.account_id ORDER BY l.leg),
            array_agg(l.entry_type::text ORDER BY l.leg), array_agg(l.currency ORDER BY l.leg),
            count(DISTINCT l.transaction_id) = 1)
        FROM new_legs AS l;
    END IF;
    IF NOT balanced THEN
        RAISE EXCEPTION 'debits and credits of transaction % differ', v_id
            USING ERRCODE = 'NB001', CONSTRAINT = 'UNBALANCED_TRANSACTION';
    END IF;
    IF reversed IS NOT NULL THEN
        PERFORM accounts.record_reversal(reversed, v_id);
    END IF;
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
-- Plans are kept: planning anew for the length of an array costs more than the posting. And what was planned for ten
-- thousand legs must not read every account for two: legs find their accounts one by one, by the key.
CREATE FUNCTION accounts.post_transaction(
    p_idempotency_key text, p_account_ids uuid [], p_entry_types text [], p_amounts numeric [],
    p_currencies text [] DEFAULT NULL, p_posting_date date DEFAULT NULL, p_value_date date DEFAULT NULL,
    p_source_module text DEFAULT 'MOD-001', p_description text DEFAULT NULL, p_trace_id text DEFAULT NULL,
    p_correlation_id text DEFAULT NULL, p_reverses_transaction_id uuid DEFAULT NULL,
    OUT transaction_id uuid, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    amount numeric;
    day date := coalesce(p_posting_date, (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date);
    share float8 := random();
    first accounts.transactions;
BEGIN
    FOREACH amount IN ARRAY p_amounts LOOP
        IF (amount > 0 AND amount < 1e16 AND scale(amount) <= 2) IS NOT TRUE THEN
            RAISE EXCEPTION 'no amount to post: %', amount USING ERRCODE = 'NB007', CONSTRAINT = 'AMOUNT_INVALID';
        END IF;
    END LOOP;
    IF (cardinality(p_account_ids) BETWEEN 2 AND 10000 AND cardinality(p_entry_types) = cardinality(p_account_ids)
        AND cardinality(p_amounts) = cardinality(p_account_ids)
        AND (p_currencies IS NULL OR cardinality(p_currencies) = cardinality(p_account_ids))) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'a transaction has 2 to 10000 legs, each with account, entry type and amount'
            USING ERRCODE = 'NB002', CONSTRAINT = 'INCOMPLETE_TRANSACTION';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(1313620290, 1);
    transaction_id := uuidv7();
    WITH header AS (
        INSERT INTO accounts.transactions (transaction_id, idempotency_key, source_module, description, reverses_transaction_id,
            posting_date, value_date, trace_id, correlation_id)
        VALUES (post_transaction.transaction_id, p_idempotency_key, p_source_module, p_description, p_reverses_transaction_id,
            day, coalesce(p_value_date, day), p_trace_id, p_correlation_id)
        ON CONFLICT ON CONSTRAINT uniq_transactions_idempotency_key DO NOTHING
        RETURNING 1
    )
    INSERT INTO accounts.postings (transaction_id, leg, account_id, entry_type, amount, currency)
    SELECT post_transaction.transaction_id, l.leg,
        CASE
            WHEN a.shards IS NULL OR p_reverses_transaction_id IS NOT NULL THEN l.account_id
            ELSE a.shards[1 + floor(share * cardinality(a.shards))::integer]
        END,
        l.entry_type, l.amount, coalesce(p_currencies[l.leg], a.currency, '')
    FROM header
    CROSS JOIN unnest(p_account_ids, p_entry_types, p_amounts) WITH ORDINALITY AS l (account_id, entry_type, amount, leg)
    LEFT JOIN accounts.accounts AS a ON a.account_id = l.account_id;
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
    accounts.refuse_legs(smallint [], uuid [], text [], text [], boolean),
    accounts.record_reversal(uuid, uuid),
    accounts.apply_postings(),
    accounts.same_request(accounts.transactions, uuid [], text [], numeric [], text [], date, date, text, text),
    accounts.post_transaction(text, uuid [], text [], numeric [], text [], date, date, text, text, text, text, uuid),
    accounts.reverse_transaction(uuid, text, text, text, text, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    accounts.post_transaction(text, uuid [], text [], numeric [], text [], date, date, text, text, text, text, uuid),
    accounts.reverse_transaction(uuid, text, text, text, text, text)
TO bank_core_app_user;
