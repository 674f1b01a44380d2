-- What is done in a resolution (MOD-143, FR-633 to FR-636). A function checks who asks, under which key and by whose
-- word; then it writes the event, and the event's trigger does the rest: one transaction, all of it or nothing.
--
-- Order of locks: the singleton's row, then the ledger's lock exclusively, then accounts. Postings take the ledger's lock
-- shared and read the singleton without a lock: they wait, or land wholly before or after.

CREATE FUNCTION core.obr_expected(p_key text, p_hash bytea) RETURNS core.obr_partition_events
LANGUAGE plpgsql AS $$
DECLARE
    e core.obr_partition_events;
BEGIN
    SELECT x.* INTO e FROM core.obr_partition_events AS x WHERE x.idempotency_key = p_key;
    IF FOUND AND e.request_hash <> p_hash THEN
        RAISE EXCEPTION 'this key stands for event % with another request', e.event_id
            USING ERRCODE = 'NB008', CONSTRAINT = 'IDEMPOTENCY_KEY_REUSED';
    END IF;
    RETURN e;
END
$$;

-- The holders of joint accounts, each with his part: of the balance by share, to the cent, the last one takes what is
-- left over; of that, what is frozen. Answers, in the order of their ids, which accounts these are and how much of each is
-- frozen, in cents.
CREATE FUNCTION core.obr_split_joint(
    p_event core.obr_partition_events, p_joint uuid [], p_closed text [], OUT ids uuid [], OUT cents bigint []
)
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO core.obr_holder_partitions (event_id, account_id, holder_no, party_id, share_pct, balance_at, frozen_amount,
        available_amount)
    SELECT p_event.event_id, h.account_id, h.holder_no, h.party_id, h.share, h.part, f.frozen, greatest(h.part, 0) - f.frozen
    FROM (
        SELECT s.*, CASE
            WHEN s.holder_no < s.holders THEN trunc(s.balance * s.share / 100, 2)
            ELSE s.balance - coalesce(sum(trunc(s.balance * s.share / 100, 2)) OVER (
                PARTITION BY s.account_id ORDER BY s.holder_no ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
        END AS part
        FROM (
            SELECT a.account_id, a.product_code, a.balance, r.party_id,
                row_number() OVER everybody AS holder_no, count(*) OVER (PARTITION BY a.account_id) AS holders,
                CASE WHEN p_event.equal_shares THEN 100.0 / count(*) OVER (PARTITION BY a.account_id)
                    ELSE r.balance_share_pct END AS share
            FROM unnest(p_joint) AS j (account_id)
            JOIN accounts.accounts AS a ON a.account_id = j.account_id
            JOIN accounts.account_party_relationships AS r ON r.account_id = j.account_id AND r.role = 'HOLDER'
                AND r.valid_from <= p_event.quantified_at
                AND (r.valid_to IS NULL OR r.valid_to > p_event.quantified_at)
            WINDOW everybody AS (PARTITION BY a.account_id ORDER BY r.party_id)
        ) AS s
    ) AS h
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN h.product_code = ANY(p_closed) THEN greatest(h.part, 0)
            ELSE trunc(greatest(h.part - p_event.de_minimis_amount, 0) * p_event.haircut_pct, 2)
        END AS frozen
    ) AS f;
    SELECT array_agg(s.account_id ORDER BY s.account_id), array_agg((s.frozen * 100)::bigint ORDER BY s.account_id)
    INTO ids, cents
    FROM (
        SELECT x.account_id, sum(x.frozen_amount) AS frozen
        FROM core.obr_holder_partitions AS x
        WHERE x.event_id = p_event.event_id
        GROUP BY x.account_id
    ) AS s;
END
$$;

-- The accounts of joint holders; refused before anything happens when an account's shares do not sum to 100.
CREATE FUNCTION core.obr_joint_accounts(p_event core.obr_partition_events) RETURNS uuid []
LANGUAGE plpgsql AS $$
DECLARE
    joint uuid[];
    unmarked uuid[];
    wrong uuid[];
    many bigint;
BEGIN
    SELECT array_agg(g.account_id) FILTER (WHERE g.holders > 1),
        array_agg(g.account_id) FILTER (WHERE g.holders > 1 AND NOT g.marked),
        array_agg(g.account_id ORDER BY g.account_id) FILTER (WHERE NOT p_event.equal_shares AND g.whole <> 100),
        count(*) FILTER (WHERE NOT p_event.equal_shares AND g.whole <> 100)
    INTO joint, unmarked, wrong, many
    FROM (
        SELECT r.account_id, count(*) AS holders, sum(r.balance_share_pct) AS whole, bool_and(a.held_jointly) AS marked
        FROM accounts.account_party_relationships AS r
        JOIN accounts.accounts AS a ON a.account_id = r.account_id
        WHERE r.role = 'HOLDER' AND r.valid_from <= p_event.quantified_at
            AND (r.valid_to IS NULL OR r.valid_to > p_event.quantified_at)
            AND NOT a.is_internal AND a.jurisdiction = p_event.jurisdiction
        GROUP BY r.account_id
        HAVING count(*) > 1 OR sum(r.balance_share_pct) <> 100
    ) AS g;
    IF many > 0 THEN
        RAISE EXCEPTION 'the holders'' shares of % accounts do not sum to 100', many
            USING ERRCODE = 'NB034', CONSTRAINT = 'OBR_SHARES_NOT_100', DETAIL = array_to_string(wrong[1:100], ' ');
    END IF;
    -- Holders keep the mark; somebody may have taken it away.
    UPDATE accounts.accounts AS a SET held_jointly = true WHERE a.account_id = ANY(unmarked);
    RETURN coalesce(joint, '{}');
END
$$;

CREATE FUNCTION core.obr_totals(INOUT p_event core.obr_partition_events)
LANGUAGE plpgsql AS $$
DECLARE
    by_currency jsonb;
BEGIN
    SELECT coalesce(sum(c.accounts), 0), coalesce(sum(c.frozen), 0), coalesce(sum(c.available), 0),
        coalesce(jsonb_object_agg(c.currency, jsonb_build_object('accounts', c.accounts, 'balance', c.balance::text,
            'frozen', c.frozen::text, 'available', c.available::text)), '{}')
    INTO p_event.accounts_partitioned, p_event.total_frozen_amount, p_event.total_available_amount, by_currency
    FROM (
        SELECT a.currency::text, count(*) AS accounts, sum(a.balance) AS balance, sum(a.obr_frozen_amount::numeric) AS frozen,
            sum(a.obr_available_amount::numeric) AS available
        FROM accounts.accounts AS a
        WHERE a.obr_partitioned
        GROUP BY a.currency
    ) AS c;
    p_event.metadata := p_event.metadata || jsonb_build_object('currencies', by_currency);
END
$$;

-- Every customer account of the jurisdiction, whatever its standing (AD-5), is split: for each holder
-- frozen = trunc(max(his part - de minimis, 0) x haircut, 2), the cent to the depositor; all of it where the product is
-- not pre-positioned. What is overdrawn has nothing frozen and nothing available.
CREATE FUNCTION core.obr_partition(INOUT p_event core.obr_partition_events)
LANGUAGE plpgsql AS $$
DECLARE
    closed text[] := ARRAY(SELECT p.product_code::text FROM core.products AS p WHERE NOT p.obr_prepositioned ORDER BY 1);
    lifted text[] := ARRAY(SELECT r.restriction_reason FROM accounts.status_rules AS r WHERE r.lifted_in_resolution);
    h numeric := p_event.haircut_pct;
    d numeric := p_event.de_minimis_amount;
    joint uuid[];
    cents bigint[];
    began timestamptz[];
BEGIN
    p_event.quantified_at := clock_timestamp();
    began[1] := p_event.quantified_at;
    SELECT j.ids, j.cents INTO joint, cents
    FROM core.obr_split_joint(p_event, core.obr_joint_accounts(p_event), closed) AS j;
    joint := coalesce(joint, '{}');
    began[2] := clock_timestamp();
    -- One pass: a second one over the joint accounts would read and write nearly every page again. What no account can be
    -- is said by constants, so that the planner leaves it out.
    UPDATE accounts.accounts AS a
    SET obr_partitioned = true,
        obr_frozen_amount = CASE
            WHEN joint <> '{}' AND a.held_jointly AND a.account_id = ANY(joint)
                THEN cents[width_bucket(a.account_id, joint)] * 0.01
            WHEN closed <> '{}' AND a.product_code = ANY(closed) THEN greatest(a.balance, 0)
            ELSE trunc(greatest(a.balance - d, 0) * h, 2) END,
        obr_available_amount = greatest(a.balance, 0) - CASE
            WHEN joint <> '{}' AND a.held_jointly AND a.account_id = ANY(joint)
                THEN cents[width_bucket(a.account_id, joint)] * 0.01
            WHEN closed <> '{}' AND a.product_code = ANY(closed) THEN greatest(a.balance, 0)
            ELSE trunc(greatest(a.balance - d, 0) * h, 2) END,
        allows_debit = CASE WHEN a.restriction_reason = ANY(lifted)
            THEN a.allows_debit OR (accounts.status_rule(a.status, a.restriction_reason)).lifted_in_resolution
            ELSE a.allows_debit END
    WHERE NOT a.is_internal AND a.jurisdiction = p_event.jurisdiction;
    began[3] := clock_timestamp();
    -- Whose accounts these are is asked as above: by obr_partitioned the planner would expect none.
    INSERT INTO core.obr_account_partitions (event_id, account_id, log_seq, currency, balance_at, frozen_amount, available_amount)
    SELECT p_event.event_id, a.account_id, a.log_seq, a.currency, a.balance, a.obr_frozen_amount, a.obr_available_amount
    FROM accounts.accounts AS a
    WHERE NOT a.is_internal AND a.jurisdiction = p_event.jurisdiction
    ORDER BY a.account_id;
    began[4] := clock_timestamp();
    INSERT INTO core.obr_holder_partitions (event_id, account_id, holder_no, party_id, share_pct, balance_at, frozen_amount,
        available_amount)
    SELECT p_event.event_id, a.account_id, 1, r.party_id, 100, a.balance, a.obr_frozen_amount, a.obr_available_amount
    FROM accounts.accounts AS a
    LEFT JOIN accounts.account_party_relationships AS r ON r.account_id = a.account_id AND r.role = 'HOLDER'
        AND r.valid_from <= p_event.quantified_at AND (r.valid_to IS NULL OR r.valid_to > p_event.quantified_at)
    WHERE NOT a.is_internal AND a.jurisdiction = p_event.jurisdiction AND a.account_id <> ALL(joint)
    ORDER BY a.account_id;
    began[5] := clock_timestamp();
    p_event.metadata := p_event.metadata || jsonb_build_object('evidence', core.obr_evidence(p_event.event_id));
    began[6] := clock_timestamp();
    p_event := core.obr_totals(p_event);
    p_event.metadata := p_event.metadata || jsonb_build_object(
        'joint_accounts', cardinality(joint), 'not_pre_positioned', to_jsonb(closed),
        'shares', CASE WHEN p_event.equal_shares THEN 'EQUAL' ELSE 'BALANCE_SHARE_PCT' END,
        'seconds', jsonb_build_object('joint', extract(epoch FROM began[2] - began[1]),
            'partition', extract(epoch FROM began[3] - began[2]), 'accounts_evidence', extract(epoch FROM began[4] - began[3]),
            'holders_evidence', extract(epoch FROM began[5] - began[4]), 'evidence_hashes', extract(epoch FROM began[6] - began[5])));
END
$$;

-- A tranche: of each holder's part frozen at activation, what is left frozen is rounded down.
CREATE FUNCTION core.obr_free_tranche(p_state core.obr_resolution_state, INOUT p_event core.obr_partition_events)
LANGUAGE plpgsql AS $$
DECLARE
    before numeric;
BEGIN
    SELECT coalesce(sum(a.obr_frozen_amount::numeric), 0) INTO before FROM accounts.accounts AS a WHERE a.obr_partitioned;
    UPDATE accounts.accounts AS a
    SET obr_frozen_amount = p.frozen, obr_available_amount = greatest(a.balance - p.frozen, 0)
    FROM (
        SELECT x.account_id, sum(trunc(x.frozen_amount * (100 - p_event.released_pct) / 100, 2)) AS frozen
        FROM core.obr_holder_partitions AS x
        WHERE x.event_id = p_state.activation_event_id AND x.frozen_amount > 0
        GROUP BY x.account_id
    ) AS p
    WHERE a.account_id = p.account_id AND a.obr_partitioned;
    INSERT INTO core.obr_account_partitions (event_id, account_id, log_seq, currency, balance_at, frozen_amount, available_amount)
    SELECT p_event.event_id, a.account_id, a.log_seq, a.currency, a.balance, a.obr_frozen_amount, a.obr_available_amount
    FROM accounts.accounts AS a
    WHERE a.obr_partitioned
    ORDER BY a.account_id;
    p_event := core.obr_totals(p_event);
    p_event.metadata := p_event.metadata || jsonb_build_object('released', (before - p_event.total_frozen_amount)::text,
        'evidence', core.obr_evidence(p_event.event_id));
END
$$;

-- Whatever is wrong with the amounts to be written off, of up to 100 accounts.
CREATE FUNCTION core.obr_check_write_off(p_amounts jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    wrong text[];
    many bigint;
BEGIN
    SELECT count(*), array_agg(concat(f.account_id, ': ', f.problem) ORDER BY f.account_id)
    INTO many, wrong
    FROM (
        SELECT w.account_id, CASE
            WHEN a.account_id IS NULL OR NOT a.obr_partitioned THEN 'is no account of the partition'
            WHEN w.amount !~ '^(0|[1-9][0-9]{0,15})[.][0-9]{2}$' OR w.amount = '0.00' THEN 'is no amount'
            WHEN w.amount::numeric > a.obr_frozen_amount THEN 'more than the ' || a.obr_frozen_amount || ' that is frozen'
            WHEN a.available_balance + a.overdraft_limit < w.amount::numeric
                AND accounts.spendable(a.account_id) < w.amount::numeric THEN 'holds are in the way: release them'
        END AS problem
        FROM jsonb_each_text(p_amounts) AS w (account_id, amount)
        LEFT JOIN accounts.accounts AS a ON a.account_id::text = w.account_id
    ) AS f
    WHERE f.problem IS NOT NULL;
    IF many > 0 THEN
        RAISE EXCEPTION 'the permanent haircut is wrong for % accounts: %', many, wrong[1]
            USING ERRCODE = 'NB034', CONSTRAINT = 'OBR_WRITE_OFF_INVALID', DETAIL = array_to_string(wrong[1:100], E'\n');
    END IF;
END
$$;

-- The bank's own account that takes up what customers lose for good: one for each currency, opened when first needed.
CREATE FUNCTION core.obr_credit_loss_account(p_jurisdiction text, p_currency text, p_trace_id text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    found_id uuid;
BEGIN
    SELECT a.account_id INTO found_id
    FROM accounts.accounts AS a
    WHERE a.product_code = 'CREDIT_LOSS' AND a.is_internal AND a.shard_of IS NULL AND a.allows_credit
        AND a.currency = p_currency AND a.jurisdiction = p_jurisdiction
    ORDER BY a.opened_at, a.account_id
    LIMIT 1;
    IF found_id IS NULL THEN
        SELECT o.account_id INTO found_id
        FROM accounts.open_account(p_currency, p_jurisdiction, p_is_internal => true, p_product_code => 'CREDIT_LOSS',
            p_trace_id => p_trace_id) AS o;
    END IF;
    RETURN found_id;
END
$$;

-- Credit-loss postings (11.5): customers are debited, whatever their standing, the bank's own account is credited.
CREATE FUNCTION core.obr_write_off(p_amounts jsonb, INOUT p_event core.obr_partition_events)
LANGUAGE plpgsql AS $$
DECLARE
    b record;
    own uuid;
    posted uuid;
    transactions jsonb := '[]';
    total jsonb := '{}';
BEGIN
    FOR b IN
        SELECT w.currency, w.batch, array_agg(w.account_id ORDER BY w.account_id) AS ids,
            array_agg(w.amount ORDER BY w.account_id) AS amounts, sum(w.amount) AS amount
        FROM (
            SELECT a.account_id, a.currency, x.amount::numeric AS amount,
                (row_number() OVER (PARTITION BY a.currency ORDER BY a.account_id) - 1) / 9000 AS batch
            FROM jsonb_each_text(p_amounts) AS x (account_id, amount)
            JOIN accounts.accounts AS a ON a.account_id = x.account_id::uuid
        ) AS w
        GROUP BY w.currency, w.batch
        ORDER BY w.currency, w.batch
    LOOP
        own := core.obr_credit_loss_account(p_event.jurisdiction, b.currency, p_event.trace_id);
        SELECT t.transaction_id INTO posted
        FROM accounts.post_transaction(concat_ws(':', 'obr-write-off', p_event.event_id, b.currency, b.batch),
            b.ids || own, array_fill('DEBIT'::text, ARRAY[cardinality(b.ids)]) || 'CREDIT'::text, b.amounts || b.amount,
            p_source_module => 'MOD-143', p_description => 'permanent haircut', p_trace_id => p_event.trace_id,
            p_correlation_id => p_event.correlation_id) AS t;
        transactions := transactions || jsonb_build_object('transaction_id', posted, 'currency', b.currency,
            'credit_loss_account_id', own, 'accounts', cardinality(b.ids), 'amount', b.amount::text);
        total := total || jsonb_build_object(b.currency, (coalesce((total ->> b.currency)::numeric, 0) + b.amount)::text);
    END LOOP;
    p_event.metadata := p_event.metadata || jsonb_build_object('permanent_haircut', jsonb_build_object(
        'accounts', (SELECT count(*) FROM jsonb_object_keys(p_amounts)), 'totals', total, 'transactions', transactions));
END
$$;

-- The partition is cleared and what is not written off becomes available at once.
CREATE FUNCTION core.obr_clear(INOUT p_event core.obr_partition_events)
LANGUAGE plpgsql AS $$
DECLARE
    lifted text[] := ARRAY(SELECT r.restriction_reason FROM accounts.status_rules AS r WHERE r.lifted_in_resolution);
    amounts jsonb := coalesce(p_event.metadata -> 'write_off', '{}');
    ids uuid[] := ARRAY(SELECT x.k::uuid FROM jsonb_object_keys(amounts) AS x (k) WHERE x.k ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$');
    began timestamptz;
BEGIN
    p_event.metadata := p_event.metadata - 'write_off';
    p_event := core.obr_totals(p_event);
    PERFORM core.obr_check_write_off(amounts);
    began := clock_timestamp();
    UPDATE accounts.accounts AS a
    SET obr_partitioned = false, obr_frozen_amount = 0, obr_available_amount = 0,
        allows_debit = CASE WHEN a.restriction_reason = ANY(lifted)
            THEN (accounts.status_rule(a.status, a.restriction_reason)).allows_debit ELSE a.allows_debit END
    WHERE a.obr_partitioned;
    p_event.metadata := p_event.metadata
        || jsonb_build_object('seconds', jsonb_build_object('clear', extract(epoch FROM clock_timestamp() - began)));
    IF ids <> '{}' THEN
        UPDATE accounts.accounts AS a SET allows_debit = true WHERE a.account_id = ANY(ids) AND NOT a.allows_debit;
        p_event := core.obr_write_off(amounts, p_event);
        UPDATE accounts.accounts AS a
        SET allows_debit = (accounts.status_rule(a.status, a.restriction_reason)).allows_debit
        WHERE a.account_id = ANY(ids);
    END IF;
END
$$;

CREATE FUNCTION core.obr_publish(p_event core.obr_partition_events) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO core.outbox (event_type, aggregate_id, account_ids, payload, trace_id, correlation_id)
    VALUES (
        CASE p_event.event_type
            WHEN 'OBR_ACTIVATED' THEN 'bank.core.obr_activated'
            WHEN 'OBR_RELEASED' THEN 'bank.core.obr_released'
            WHEN 'OBR_UNWOUND' THEN 'bank.core.obr_unwound'
            WHEN 'OBR_REARMED' THEN 'bank.core.obr_rearmed'
            ELSE 'bank.core.obr_partition_reconciled'
        END, p_event.event_id, '{}', jsonb_build_object(
            'schema_version', '1', 'event_no', p_event.event_no, 'jurisdiction', p_event.jurisdiction,
            'status', p_event.status, 'haircut_pct', p_event.haircut_pct::text,
            'de_minimis_amount', p_event.de_minimis_amount::text, 'released_pct', p_event.released_pct::text,
            'rbnz_instruction_ref', p_event.rbnz_instruction_ref, 'authority', p_event.authority,
            'quantified_at', core.rfc3339(p_event.quantified_at), 'accounts_partitioned', p_event.accounts_partitioned,
            'total_frozen_amount', p_event.total_frozen_amount::text,
            'total_available_amount', p_event.total_available_amount::text,
            'differences', p_event.metadata -> 'differences', 'activated_by', p_event.activated_by,
            'occurred_at', core.rfc3339(p_event.occurred_at), 'trace_id', p_event.trace_id,
            'correlation_id', p_event.correlation_id), p_event.trace_id, p_event.correlation_id)
$$;

-- Nobody else moves money or holds from here on. Who stands in the way for longer than lock_timeout is named.
CREATE FUNCTION core.enter_ledger_alone() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE core.ledger_lock IN EXCLUSIVE MODE;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'the ledger is kept from standing still by %', core.lock_holders('core.ledger_lock')
        USING ERRCODE = 'lock_not_available';
END
$$;

-- The event's own trigger: what it tells of happens here and nowhere else, so that neither can be without the other.
CREATE FUNCTION core.apply_obr_event() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    s core.obr_resolution_state;
    needed text := CASE NEW.event_type WHEN 'OBR_ACTIVATED' THEN 'pre_positioned' WHEN 'OBR_REARMED' THEN 'resolved'
        WHEN 'OBR_RELEASED' THEN 'activated' WHEN 'OBR_UNWOUND' THEN 'activated' END;
BEGIN
    IF session_user <> 'bank_core_resolution_officer'
        AND NOT (NEW.event_type = 'OBR_PARTITION_RECONCILED' AND session_user = 'bank_core_app_user')
    THEN
        RAISE EXCEPTION 'only bank_core_resolution_officer does this' USING ERRCODE = 'NB035', CONSTRAINT = 'OBR_OFFICER_ONLY';
    END IF;
    SELECT x.* INTO s FROM core.obr_resolution_state AS x WHERE x.id = 'current' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'core.obr_resolution_state has no row' USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_STATE_TABLE_EMPTY';
    ELSIF s.resolution_state <> needed THEN
        RAISE EXCEPTION 'the bank is %, not %', s.resolution_state, needed
            USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_TRANSITION_REFUSED';
    END IF;
    NEW.event_no := s.last_event_no + 1;
    NEW.jurisdiction := s.jurisdiction;
    NEW.db_user := session_user;
    NEW.activated_by := coalesce(NEW.activated_by, session_user);
    NEW.metadata := coalesce(NEW.metadata, '{}');
    IF NEW.event_type IN ('OBR_ACTIVATED', 'OBR_RELEASED', 'OBR_UNWOUND') THEN
        PERFORM core.enter_ledger_alone();
    END IF;
    BEGIN
        CASE NEW.event_type
            WHEN 'OBR_ACTIVATED' THEN
                NEW.status := 'activated';
                NEW.released_pct := 0;
                NEW := core.obr_partition(NEW);
                NEW.occurred_at := clock_timestamp();
                UPDATE core.obr_resolution_state
                SET resolution_state = 'activated', haircut_pct = NEW.haircut_pct, de_minimis_amount = NEW.de_minimis_amount,
                    equal_shares = NEW.equal_shares, rbnz_instruction_ref = NEW.rbnz_instruction_ref,
                    activation_event_id = NEW.event_id, partition_event_id = NEW.event_id, quantified_at = NEW.quantified_at,
                    released_pct = 0, activated_at = NEW.occurred_at, activated_by = NEW.activated_by
                WHERE id = 'current';
            WHEN 'OBR_RELEASED' THEN
                NEW.status := 'activated';
                NEW := core.obr_free_tranche(s, NEW);
                NEW.occurred_at := clock_timestamp();
                UPDATE core.obr_resolution_state
                SET released_pct = NEW.released_pct, partition_event_id = NEW.event_id
                WHERE id = 'current';
            WHEN 'OBR_UNWOUND' THEN
                NEW.status := 'resolved';
                NEW := core.obr_clear(NEW);
                NEW.occurred_at := clock_timestamp();
                UPDATE core.obr_resolution_state
                SET resolution_state = 'resolved', resolved_at = NEW.occurred_at, resolved_by = NEW.activated_by
                WHERE id = 'current';
            WHEN 'OBR_REARMED' THEN
                NEW.status := 'pre_positioned';
                NEW := core.obr_totals(NEW);
                NEW.occurred_at := clock_timestamp();
                UPDATE core.obr_resolution_state
                SET resolution_state = 'pre_positioned', haircut_pct = NULL, de_minimis_amount = NULL, equal_shares = NULL,
                    rbnz_instruction_ref = NULL, activation_event_id = NULL, partition_event_id = NULL, quantified_at = NULL,
                    released_pct = NULL, activated_at = NULL, activated_by = NULL, resolved_at = NULL, resolved_by = NULL
                WHERE id = 'current';
            ELSE
                NEW.status := s.resolution_state;
                NEW.occurred_at := clock_timestamp();
        END CASE;
    EXCEPTION WHEN lock_not_available THEN
        -- Only who owns the tables can have a row of accounts without the ledger's lock.
        RAISE EXCEPTION 'accounts are kept from being written by %', core.lock_holders('accounts.accounts')
            USING ERRCODE = 'lock_not_available';
    END;
    UPDATE core.obr_resolution_state
    SET last_event_no = NEW.event_no, last_trace_id = NEW.trace_id, last_correlation_id = NEW.correlation_id,
        updated_at = NEW.occurred_at
    WHERE id = 'current';
    PERFORM core.obr_publish(NEW);
    RETURN NEW;
END
$$;

CREATE TRIGGER trg_obr_partition_events_applied BEFORE INSERT ON core.obr_partition_events
FOR EACH ROW EXECUTE FUNCTION core.apply_obr_event();
ALTER TABLE core.obr_partition_events ENABLE ALWAYS TRIGGER trg_obr_partition_events_applied;

-- Split every account and close the channels to what is frozen. The same key and request give the first answer again.
CREATE FUNCTION core.obr_activate(
    p_haircut numeric, p_de_minimis numeric, p_reference text, p_idempotency_key text, p_documents text [],
    p_equal_shares boolean, p_scope text, p_actor text, p_trace_id text, p_correlation_id text,
    OUT event core.obr_partition_events, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '256MB'
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    s core.obr_resolution_state := core.obr_enter();
    asked bytea := sha256(convert_to(jsonb_build_array('activate', trim_scale(p_haircut), trim_scale(p_de_minimis), p_reference,
        p_equal_shares, p_scope)::text, 'UTF8'));
    word text;
BEGIN
    event := core.obr_expected(p_idempotency_key, asked);
    replayed := event.event_id IS NOT NULL;
    IF replayed THEN
        RETURN;
    END IF;
    IF (p_haircut BETWEEN 0 AND 1 AND scale(p_haircut) <= 4 AND p_de_minimis >= 0 AND p_de_minimis < 1e16
        AND scale(p_de_minimis) <= 2 AND p_equal_shares IS NOT NULL AND btrim(p_reference) <> '') IS NOT TRUE
    THEN
        RAISE EXCEPTION 'a haircut is 0 to 1 with four decimals, a de minimis amount 0 or more with two; a reference is needed'
            USING ERRCODE = 'NB034', CONSTRAINT = 'OBR_REQUEST_INVALID';
    END IF;
    PERFORM core.refuse_replayed(p_documents);
    IF s.resolution_state = 'activated' THEN
        RAISE EXCEPTION 'a resolution was activated at %, under reference %', s.activated_at, s.rbnz_instruction_ref
            USING ERRCODE = 'NB030', CONSTRAINT = 'ALREADY_ACTIVATED';
    ELSIF s.resolution_state <> 'pre_positioned' THEN
        RAISE EXCEPTION 'the bank is %, not pre_positioned', s.resolution_state
            USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_NOT_PRE_POSITIONED';
    ELSIF s.jurisdiction <> 'NZ' THEN
        RAISE EXCEPTION 'there is no regime for % yet', s.jurisdiction
            USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_JURISDICTION_UNSUPPORTED';
    END IF;
    word := core.obr_authority(p_documents, 'activate', jsonb_build_object('jurisdiction', s.jurisdiction, 'scope', p_scope,
        'reference', p_reference, 'haircut', p_haircut, 'de_minimis', p_de_minimis, 'equal_shares', p_equal_shares), false);
    INSERT INTO core.obr_partition_events AS e (event_type, haircut_pct, de_minimis_amount, equal_shares, rbnz_instruction_ref,
        authority, activated_by, idempotency_key, request_hash, trace_id, correlation_id, metadata)
    VALUES ('OBR_ACTIVATED', p_haircut, p_de_minimis, p_equal_shares, p_reference, word, p_actor, p_idempotency_key, asked,
        p_trace_id, p_correlation_id, jsonb_build_object('scope', p_scope))
    RETURNING e.* INTO event;
    PERFORM core.obr_keep_documents(p_documents, event.event_id, NULL, NULL);
END
$$;

-- Free p_percent of what was frozen at activation.
CREATE FUNCTION core.obr_release(
    p_percent numeric, p_reference text, p_idempotency_key text, p_documents text [], p_scope text, p_actor text,
    p_trace_id text, p_correlation_id text, OUT event core.obr_partition_events, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '256MB'
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    s core.obr_resolution_state := core.obr_enter();
    asked bytea := sha256(convert_to(jsonb_build_array('release', trim_scale(p_percent), p_reference, p_scope)::text, 'UTF8'));
    word text;
BEGIN
    event := core.obr_expected(p_idempotency_key, asked);
    replayed := event.event_id IS NOT NULL;
    IF replayed THEN
        RETURN;
    END IF;
    IF (p_percent > 0 AND p_percent <= 100 AND scale(p_percent) <= 2 AND btrim(p_reference) <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'a percentage is above 0 and up to 100 with two decimals; a reference is needed'
            USING ERRCODE = 'NB034', CONSTRAINT = 'OBR_REQUEST_INVALID';
    END IF;
    PERFORM core.refuse_replayed(p_documents);
    IF s.resolution_state <> 'activated' THEN
        RAISE EXCEPTION 'the bank is %, not activated', s.resolution_state
            USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_NOT_ACTIVATED';
    ELSIF s.released_pct + p_percent > 100 THEN
        RAISE EXCEPTION '% percent was released already', s.released_pct
            USING ERRCODE = 'NB034', CONSTRAINT = 'OBR_RELEASE_EXCEEDS_FROZEN';
    END IF;
    word := core.obr_authority(p_documents, 'release', jsonb_build_object('jurisdiction', s.jurisdiction, 'scope', p_scope,
        'reference', p_reference, 'percent', p_percent), false);
    INSERT INTO core.obr_partition_events AS e (event_type, haircut_pct, de_minimis_amount, equal_shares, released_pct,
        rbnz_instruction_ref, authority, quantified_at, activated_by, idempotency_key, request_hash, trace_id, correlation_id,
        metadata)
    VALUES ('OBR_RELEASED', s.haircut_pct, s.de_minimis_amount, s.equal_shares, s.released_pct + p_percent, p_reference, word,
        s.quantified_at, p_actor, p_idempotency_key, asked, p_trace_id, p_correlation_id,
        jsonb_build_object('scope', p_scope, 'percent', p_percent))
    RETURNING e.* INTO event;
    PERFORM core.obr_keep_documents(p_documents, event.event_id, NULL, NULL);
END
$$;

-- End it. p_permanent_haircut: the confirmed file, JSON {"account_id": "amount", ...}, to the byte that the instruction
-- names by its SHA-256; NULL for none.
CREATE FUNCTION core.obr_unwind(
    p_reference text, p_idempotency_key text, p_documents text [], p_permanent_haircut text, p_scope text, p_actor text,
    p_trace_id text, p_correlation_id text, OUT event core.obr_partition_events, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '256MB'
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    s core.obr_resolution_state := core.obr_enter();
    file_hash text := encode(sha256(convert_to(p_permanent_haircut, 'UTF8')), 'hex');
    asked bytea := sha256(convert_to(jsonb_build_array('unwind', p_reference, file_hash, p_scope)::text, 'UTF8'));
    amounts jsonb;
    word text;
BEGIN
    event := core.obr_expected(p_idempotency_key, asked);
    replayed := event.event_id IS NOT NULL;
    IF replayed THEN
        RETURN;
    END IF;
    IF (btrim(p_reference) <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'a reference is needed' USING ERRCODE = 'NB034', CONSTRAINT = 'OBR_REQUEST_INVALID';
    END IF;
    PERFORM core.refuse_replayed(p_documents);
    IF s.resolution_state <> 'activated' THEN
        RAISE EXCEPTION 'the bank is %, not activated', s.resolution_state
            USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_NOT_ACTIVATED';
    END IF;
    word := core.obr_authority(p_documents, 'unwind', jsonb_build_object('jurisdiction', s.jurisdiction, 'scope', p_scope,
        'reference', p_reference, 'permanent_haircut_sha256', file_hash), false);
    IF p_permanent_haircut IS NOT NULL THEN
        BEGIN
            amounts := p_permanent_haircut::jsonb;
            IF jsonb_typeof(amounts) <> 'object'
                OR (SELECT count(*) <> count(DISTINCT k) FROM json_object_keys(p_permanent_haircut::json) AS x (k))
                OR EXISTS (SELECT FROM jsonb_each(amounts) AS x (k, v) WHERE jsonb_typeof(x.v) <> 'string')
            THEN
                amounts := NULL;
            END IF;
        EXCEPTION WHEN data_exception THEN
            amounts := NULL;
        END;
        IF amounts IS NULL THEN
            RAISE EXCEPTION 'the permanent haircut is no JSON object of account ids and amounts, each once'
                USING ERRCODE = 'NB034', CONSTRAINT = 'OBR_WRITE_OFF_INVALID';
        END IF;
    END IF;
    INSERT INTO core.obr_partition_events AS e (event_type, haircut_pct, de_minimis_amount, equal_shares, released_pct,
        rbnz_instruction_ref, authority, quantified_at, activated_by, idempotency_key, request_hash, trace_id, correlation_id,
        metadata)
    VALUES ('OBR_UNWOUND', s.haircut_pct, s.de_minimis_amount, s.equal_shares, s.released_pct, p_reference, word,
        s.quantified_at, p_actor, p_idempotency_key, asked, p_trace_id, p_correlation_id,
        jsonb_build_object('scope', p_scope, 'permanent_haircut_sha256', file_hash, 'write_off', coalesce(amounts, '{}')))
    RETURNING e.* INTO event;
    PERFORM core.obr_keep_documents(p_documents, event.event_id, NULL, NULL);
    IF p_permanent_haircut IS NOT NULL THEN
        INSERT INTO core.obr_permanent_haircuts (event_id, file) VALUES (event.event_id, p_permanent_haircut);
    END IF;
END
$$;

-- Be ready again after a resolution.
CREATE FUNCTION core.obr_rearm(
    p_reference text, p_idempotency_key text, p_documents text [], p_scope text, p_actor text, p_trace_id text,
    p_correlation_id text, OUT event core.obr_partition_events, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s core.obr_resolution_state := core.obr_enter();
    asked bytea := sha256(convert_to(jsonb_build_array('rearm', p_reference, p_scope)::text, 'UTF8'));
    word text;
BEGIN
    event := core.obr_expected(p_idempotency_key, asked);
    replayed := event.event_id IS NOT NULL;
    IF replayed THEN
        RETURN;
    END IF;
    IF (btrim(p_reference) <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'a reference is needed' USING ERRCODE = 'NB034', CONSTRAINT = 'OBR_REQUEST_INVALID';
    END IF;
    PERFORM core.refuse_replayed(p_documents);
    IF s.resolution_state <> 'resolved' THEN
        RAISE EXCEPTION 'the bank is %, not resolved', s.resolution_state
            USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_NOT_RESOLVED';
    END IF;
    word := core.obr_authority(p_documents, 'rearm', jsonb_build_object('jurisdiction', s.jurisdiction, 'scope', p_scope,
        'reference', p_reference), false);
    INSERT INTO core.obr_partition_events AS e (event_type, rbnz_instruction_ref, authority, activated_by, idempotency_key,
        request_hash, trace_id, correlation_id, metadata)
    VALUES ('OBR_REARMED', p_reference, word, p_actor, p_idempotency_key, asked, p_trace_id, p_correlation_id,
        jsonb_build_object('scope', p_scope))
    RETURNING e.* INTO event;
    PERFORM core.obr_keep_documents(p_documents, event.event_id, NULL, NULL);
END
$$;

-- What is wrong with an account; NULL: nothing. p_due: it belongs to an activated partition, in which p_expected of it
-- should be frozen. Written so that it is inlined.
CREATE FUNCTION core.obr_problem(
    p_due boolean, p_partitioned boolean, p_balance numeric, p_frozen numeric, p_available numeric, p_expected numeric
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN NOT p_due THEN CASE WHEN p_partitioned OR p_frozen <> 0 OR p_available <> 0 THEN 'belongs to no partition' END
        WHEN NOT p_partitioned THEN 'is missing in the partition'
        WHEN p_frozen <> p_expected THEN 'frozen is not what the evidence says'
        WHEN p_available <> greatest(p_balance - p_frozen, 0) THEN 'frozen and available are not the balance'
        WHEN p_frozen > greatest(p_balance, 0) THEN 'more is frozen than there is'
    END
$$;

-- Compare what is with what should be, and put the answer on record. Daily. Accounts and evidence are compared by a sum
-- over a hash of each, from a start that nobody could know before: only where the sums differ, or an account is wrong by
-- itself, are the two joined, to say where. The hash of a number leaves out its sign, so the start tells it. EXECUTE, since
-- only then does plpgsql let several processes share the work.
CREATE FUNCTION core.obr_reconcile(
    p_actor text, p_trace_id text, p_correlation_id text, OUT event core.obr_partition_events, OUT differences bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '256MB' SET jit = off AS $$
DECLARE
    s core.obr_resolution_state;
    active boolean;
    evidence uuid;
    start bigint := hashtextextended(gen_random_uuid()::text, 0);
    live numeric;
    kept numeric := 0;
    by_currency jsonb;
    listed jsonb := '[]';
BEGIN
    -- The singleton's row comes before the ledger's lock. Who has that lock already does not wait for the row: an
    -- activation has it, and waits for him.
    IF EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation = 'core.ledger_lock'::regclass
            AND l.mode <> 'AccessShareLock'
    ) THEN
        PERFORM FROM core.obr_resolution_state AS x WHERE x.id = 'current' FOR UPDATE NOWAIT;
    END IF;
    SELECT x.* INTO s FROM core.obr_resolution_state AS x WHERE x.id = 'current' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'core.obr_resolution_state has no row' USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_STATE_TABLE_EMPTY';
    ELSIF s.resolution_state = 'normal' THEN
        RAISE EXCEPTION 'the bank is normal, not pre_positioned' USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_NOT_PRE_POSITIONED';
    END IF;
    active := s.resolution_state = 'activated';
    evidence := CASE WHEN active THEN s.partition_event_id END;
    EXECUTE $look$
        SELECT coalesce(sum(c.wrong), 0), coalesce(sum(c.digest), 0), coalesce(sum(c.accounts), 0), coalesce(sum(c.frozen), 0),
            coalesce(sum(c.available), 0), coalesce(jsonb_object_agg(c.currency, jsonb_build_object('accounts', c.accounts,
                'balance', c.balance::text, 'frozen', c.frozen::text, 'available', c.available::text))
                FILTER (WHERE c.accounts > 0), '{}')
        FROM (
            SELECT a.currency::text AS currency, count(*) FILTER (WHERE a.obr_partitioned) AS accounts,
                sum(a.balance) FILTER (WHERE a.obr_partitioned) AS balance,
                sum(a.obr_frozen_amount::numeric) FILTER (WHERE a.obr_partitioned) AS frozen,
                sum(a.obr_available_amount::numeric) FILTER (WHERE a.obr_partitioned) AS available,
                count(core.obr_problem($1 AND NOT a.is_internal AND a.jurisdiction = $2, a.obr_partitioned, a.balance,
                    a.obr_frozen_amount, a.obr_available_amount, a.obr_frozen_amount)) AS wrong,
                sum(hash_numeric_extended(a.obr_frozen_amount, uuid_hash_extended(a.account_id,
                    CASE WHEN a.obr_frozen_amount < 0 THEN ~$3 ELSE $3 END)))
                    FILTER (WHERE a.obr_partitioned AND a.obr_frozen_amount <> 0) AS digest
            FROM accounts.accounts AS a
            GROUP BY a.currency
        ) AS c
        $look$
    INTO differences, live, event.accounts_partitioned, event.total_frozen_amount, event.total_available_amount, by_currency
    USING active, s.jurisdiction, start;
    IF active THEN
        EXECUTE $look$
            SELECT coalesce(sum(hash_numeric_extended(p.frozen_amount, uuid_hash_extended(p.account_id,
                CASE WHEN p.frozen_amount < 0 THEN ~$2 ELSE $2 END))), 0)
            FROM core.obr_account_partitions AS p
            WHERE p.event_id = $1 AND p.frozen_amount <> 0
            $look$
        INTO kept
        USING evidence, start;
    END IF;
    IF differences > 0 OR live <> kept THEN
        SELECT greatest(count(*), (live <> kept)::integer), jsonb_agg(jsonb_build_object(
            'account_id', d.account_id, 'problem', d.problem,
            'balance', d.balance::text, 'frozen', d.frozen::text, 'available', d.available::text,
            'expected', d.expected::text)) FILTER (WHERE d.n <= 100)
        INTO differences, listed
        FROM (
            SELECT x.*, row_number() OVER () AS n
            FROM (
                SELECT coalesce(a.account_id, p.account_id) AS account_id, a.balance, a.obr_frozen_amount AS frozen,
                    a.obr_available_amount AS available, coalesce(p.frozen_amount, 0) AS expected,
                    CASE
                        WHEN p.frozen_amount <> 0
                            AND (a.obr_partitioned OR (NOT a.is_internal AND a.jurisdiction = s.jurisdiction)) IS NOT TRUE
                            THEN 'is in the evidence alone'
                        ELSE core.obr_problem(active AND NOT a.is_internal AND a.jurisdiction = s.jurisdiction, a.obr_partitioned,
                            a.balance, a.obr_frozen_amount, a.obr_available_amount, coalesce(p.frozen_amount, 0))
                    END AS problem
                FROM accounts.accounts AS a
                FULL JOIN (
                    SELECT y.account_id, y.frozen_amount FROM core.obr_account_partitions AS y WHERE y.event_id = evidence
                ) AS p ON p.account_id = a.account_id
            ) AS x
            WHERE x.problem IS NOT NULL
        ) AS d;
    END IF;
    event.metadata := jsonb_build_object('differences', differences, 'accounts', coalesce(listed, '[]'),
        'currencies', by_currency);
    INSERT INTO core.obr_partition_events AS e (event_type, haircut_pct, de_minimis_amount, equal_shares, released_pct,
        rbnz_instruction_ref, quantified_at, accounts_partitioned, total_frozen_amount, total_available_amount, activated_by,
        idempotency_key, request_hash, trace_id, correlation_id, metadata)
    VALUES ('OBR_PARTITION_RECONCILED', s.haircut_pct, s.de_minimis_amount, s.equal_shares, s.released_pct,
        s.rbnz_instruction_ref, s.quantified_at, event.accounts_partitioned, event.total_frozen_amount,
        event.total_available_amount, p_actor, 'reconcile:' || uuidv7(), sha256(''), p_trace_id, p_correlation_id, event.metadata)
    RETURNING e.* INTO event;
END
$$;

REVOKE EXECUTE ON FUNCTION
    core.obr_expected(text, bytea),
    core.obr_split_joint(core.obr_partition_events, uuid [], text []),
    core.obr_joint_accounts(core.obr_partition_events),
    core.obr_totals(core.obr_partition_events),
    core.obr_partition(core.obr_partition_events),
    core.obr_free_tranche(core.obr_resolution_state, core.obr_partition_events),
    core.obr_check_write_off(jsonb),
    core.obr_credit_loss_account(text, text, text),
    core.obr_write_off(jsonb, core.obr_partition_events),
    core.obr_clear(core.obr_partition_events),
    core.obr_publish(core.obr_partition_events),
    core.enter_ledger_alone(),
    core.apply_obr_event(),
    core.obr_activate(numeric, numeric, text, text, text [], boolean, text, text, text, text),
    core.obr_release(numeric, text, text, text [], text, text, text, text),
    core.obr_unwind(text, text, text [], text, text, text, text, text),
    core.obr_rearm(text, text, text [], text, text, text, text),
    core.obr_problem(boolean, boolean, numeric, numeric, numeric, numeric),
    core.obr_reconcile(text, text, text)
FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION
    core.obr_activate(numeric, numeric, text, text, text [], boolean, text, text, text, text),
    core.obr_release(numeric, text, text, text [], text, text, text, text),
    core.obr_unwind(text, text, text [], text, text, text, text, text),
    core.obr_rearm(text, text, text [], text, text, text, text)
FROM bank_core_migrate_user;
GRANT EXECUTE ON FUNCTION
    core.obr_activate(numeric, numeric, text, text, text [], boolean, text, text, text, text),
    core.obr_release(numeric, text, text, text [], text, text, text, text),
    core.obr_unwind(text, text, text [], text, text, text, text, text),
    core.obr_rearm(text, text, text [], text, text, text, text)
TO bank_core_resolution_officer;
GRANT EXECUTE ON FUNCTION core.obr_reconcile(text, text, text) TO bank_core_app_user, bank_core_resolution_officer;
