-- squawk-ignore-file prefer-bigint-over-int, ban-create-domain-with-constraint
-- (`version` is an int in the contract; the domain is new)
--
-- Holds on an account's balance (MOD-003, FR-429, FR-430): optimistic on the account's version, released once, each step
-- kept in a hash chain of its own.

CREATE TABLE accounts.pending_holds (
    hold_id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pending_holds_pkey PRIMARY KEY,
    account_id uuid NOT NULL, -- the trigger moves the account itself: a foreign key would look for it a second time
    amount core.positive_amount NOT NULL,
    payment_id core.trace_text,
    idempotency_key core.idempotency_key NOT NULL CONSTRAINT uniq_pending_holds_idempotency_key UNIQUE,
    account_version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL DEFAULT clock_timestamp() + interval '24 hours',
    released_at timestamptz,
    release_reason core.reason_code,
    trace_id text,
    correlation_id text
);

CREATE INDEX idx_pending_holds_account_id_active ON accounts.pending_holds (account_id) INCLUDE (amount, expires_at)
WHERE released_at IS NULL;
CREATE INDEX idx_pending_holds_released_at ON accounts.pending_holds (released_at) WHERE released_at IS NOT NULL;

COMMENT ON TABLE accounts.pending_holds IS 'Amounts set aside. A hold counts while expires_at > now() AND released_at IS NULL.';
COMMENT ON COLUMN accounts.pending_holds.account_version IS 'The account''s version that the hold was decided on.';

CREATE DOMAIN core.hold_event AS text CONSTRAINT chk_hold_event CHECK (VALUE IN ('CREATED', 'RELEASED'));

CREATE TABLE core.hold_log (
    account_id uuid NOT NULL,
    seq bigint NOT NULL,
    hold_id uuid NOT NULL,
    event core.hold_event NOT NULL,
    amount numeric(18, 2) NOT NULL,
    available_after numeric(18, 2) NOT NULL,
    account_version integer NOT NULL,
    expires_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    reason text,
    idempotency_key text NOT NULL,
    payment_id text,
    prev_hash bytea NOT NULL,
    row_hash bytea NOT NULL,
    CONSTRAINT hold_log_pkey PRIMARY KEY (account_id, seq) -- that a hold is released once is seen at the hold
);

COMMENT ON TABLE core.hold_log IS 'Each hold''s creation and release, chained by hash per account: append-only, written by trigger.';

CREATE TRIGGER trg_hold_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.hold_log
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_hold_log_written_by_trigger BEFORE INSERT ON core.hold_log
FOR EACH STATEMENT WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION core.refuse_direct_write();
ALTER TABLE core.hold_log ENABLE ALWAYS TRIGGER trg_hold_log_append_only;
ALTER TABLE core.hold_log ENABLE ALWAYS TRIGGER trg_hold_log_written_by_trigger;

-- Not enough by the stored figure: holds that have expired count there, but not here.
CREATE FUNCTION accounts.spendable(p_account_id uuid) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT a.balance + a.overdraft_limit - coalesce((
        SELECT sum(h.amount)
        FROM accounts.pending_holds AS h
        WHERE h.account_id = a.account_id AND h.released_at IS NULL AND h.expires_at > clock_timestamp()
    ), 0)
    FROM accounts.accounts AS a
    WHERE a.account_id = p_account_id
$$;

-- What unexpired holds set aside, to the instant at which the statement began. A balance asks only where the account's own
-- figures say that there are holds: a function that is not called costs less to have in a plan than a query that is not run.
CREATE FUNCTION accounts.held(p_account_id uuid) RETURNS numeric
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT coalesce(sum(h.amount), 0.00)
        FROM accounts.pending_holds AS h
        WHERE h.account_id = p_account_id AND h.released_at IS NULL AND h.expires_at > statement_timestamp()
    );
END
$$;

-- Says why the account takes no such hold. Returns when its figures only looked too small because of holds that have expired.
CREATE FUNCTION accounts.refuse_hold(p_account_id uuid, p_amount numeric) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    a record;
BEGIN
    SELECT x.status::text AS status, x.restriction_reason::text AS restriction_reason, x.allows_debit, x.is_internal INTO a
    FROM accounts.accounts AS x
    WHERE x.account_id = p_account_id;
    IF NOT a.allows_debit THEN
        RAISE EXCEPTION 'account % takes no holds: it is %', p_account_id, concat_ws(' ', a.status, a.restriction_reason)
            USING ERRCODE = 'NB005', CONSTRAINT = (accounts.status_rule(a.status, a.restriction_reason)).refusal;
    END IF;
    IF NOT a.is_internal AND accounts.spendable(p_account_id) < 0 THEN
        RAISE EXCEPTION 'account % has less than % available', p_account_id, p_amount
            USING ERRCODE = 'NB003', CONSTRAINT = 'INSUFFICIENT_FUNDS';
    END IF;
END
$$;

-- What a hold is and becomes. No CHECKs beside it: Postgres parses those again in each statement, a fifth of what a hold costs.
CREATE FUNCTION accounts.before_hold() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
BEGIN
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE;
    IF TG_OP = 'INSERT' THEN
        -- The clock is the database's; how long the hold lasts is the caller's.
        moment := pg_catalog.clock_timestamp();
        NEW.expires_at := moment + pg_catalog.make_interval(secs => extract(epoch FROM NEW.expires_at - NEW.created_at));
        NEW.created_at := moment;
        IF (NEW.expires_at > moment AND NEW.expires_at <= moment + interval '8784 hours' AND NEW.release_reason IS NULL
            AND NEW.released_at IS NULL) IS NOT TRUE
        THEN
            IF NEW.released_at IS NOT NULL THEN
                RAISE EXCEPTION 'a hold is not born released' USING ERRCODE = 'NB016', CONSTRAINT = 'LEDGER_MANAGED';
            END IF;
            RAISE EXCEPTION 'a hold lasts up to 366 days, and is not born with a reason to end'
                USING ERRCODE = 'NB014', CONSTRAINT = 'HOLD_INVALID';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.released_at IS NOT NULL THEN
        RAISE EXCEPTION 'hold % was released at %', OLD.hold_id, OLD.released_at
            USING ERRCODE = 'NB013', CONSTRAINT = 'HOLD_ALREADY_RELEASED';
    END IF;
    NEW.released_at := pg_catalog.clock_timestamp();
    IF NEW.release_reason IS NULL OR (OLD.hold_id, OLD.account_id, OLD.amount, OLD.payment_id, OLD.idempotency_key, OLD.account_version,
        OLD.created_at, OLD.expires_at, OLD.trace_id, OLD.correlation_id) IS DISTINCT FROM (NEW.hold_id, NEW.account_id,
        NEW.amount, NEW.payment_id, NEW.idempotency_key, NEW.account_version, NEW.created_at, NEW.expires_at,
        NEW.trace_id, NEW.correlation_id)
    THEN
        RAISE EXCEPTION 'a hold changes only by being released' USING ERRCODE = 'NB016', CONSTRAINT = 'LEDGER_MANAGED';
    END IF;
    RETURN NEW;
END
$$;

-- The account moves on by one hold event. After, not before: ON CONFLICT DO NOTHING must not leave its effects behind.
-- All of it here, and only the columns that it needs: a function in between, and whole rows, cost as much as a statement.
CREATE FUNCTION accounts.after_hold() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    created boolean := NEW.released_at IS NULL;
    delta numeric(18, 2) := CASE WHEN created THEN -NEW.amount ELSE NEW.amount END;
    a record;
BEGIN
    -- Who creates a hold has decided on a version of the account, which must still be there.
    UPDATE accounts.accounts AS x
    SET version = x.version + 1,
        available_balance = x.available_balance + delta,
        hold_seq = x.hold_seq + 1,
        hold_head = sha256((x.hold_head || uuid_send(x.account_id)) || (int8send(x.hold_seq + 1) || uuid_send(NEW.hold_id))
            || (int8send((x.version + 1) * 2::bigint + CASE WHEN created THEN 0 ELSE 1 END) || numeric_send(abs(delta)))
            || (numeric_send(x.available_balance + delta) || timestamptz_send(NEW.expires_at))
            -- Texts with their lengths in front, and nothing at all of none: two requests never give the same bytes.
            || (timestamptz_send(coalesce(NEW.released_at, NEW.created_at))
            || convert_to(concat_ws(':', octet_length(NEW.idempotency_key), NEW.idempotency_key,
                'r' || octet_length(NEW.release_reason), NEW.release_reason, 'p' || octet_length(NEW.payment_id),
                NEW.payment_id), 'UTF8')))
    WHERE x.account_id = NEW.account_id AND (NOT created OR x.version = NEW.account_version)
    RETURNING WITH (OLD AS before, NEW AS after) after.balance, after.available_balance, after.version, after.hold_seq,
        after.hold_head, before.hold_head AS prev_hash, NOT created
        OR (after.allows_debit AND (after.is_internal OR after.available_balance + after.overdraft_limit >= 0)) AS fine
    INTO a;
    IF a.fine IS NOT TRUE THEN
        IF a.version IS NULL AND EXISTS (SELECT FROM accounts.accounts AS x WHERE x.account_id = NEW.account_id) THEN
            RAISE EXCEPTION 'account % changed meanwhile', NEW.account_id
                USING ERRCODE = 'NB009', CONSTRAINT = 'CONCURRENT_MODIFICATION';
        END IF;
        IF a.version IS NULL THEN
            RAISE EXCEPTION 'no account %', NEW.account_id USING ERRCODE = 'NB004', CONSTRAINT = 'ACCOUNT_NOT_FOUND';
        END IF;
        PERFORM accounts.refuse_hold(NEW.account_id, NEW.amount);
    END IF;
    INSERT INTO core.hold_log (account_id, seq, hold_id, event, amount, available_after, account_version, expires_at,
        recorded_at, reason, idempotency_key, payment_id, prev_hash, row_hash)
    VALUES (NEW.account_id, a.hold_seq, NEW.hold_id, CASE WHEN created THEN 'CREATED' ELSE 'RELEASED' END, NEW.amount,
        a.available_balance, a.version, NEW.expires_at, coalesce(NEW.released_at, NEW.created_at),
        NEW.release_reason, NEW.idempotency_key, NEW.payment_id, a.prev_hash, a.hold_head);
    INSERT INTO core.outbox (event_type, aggregate_id, account_ids, hold_seq, balance, trace_id, correlation_id)
    VALUES ('bank.core.balance_updated', NEW.hold_id, ARRAY[NEW.account_id], a.hold_seq, a.balance, NEW.trace_id,
        NEW.correlation_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_pending_holds_kept BEFORE DELETE OR TRUNCATE ON accounts.pending_holds
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_pending_holds_before BEFORE INSERT OR UPDATE ON accounts.pending_holds
FOR EACH ROW EXECUTE FUNCTION accounts.before_hold();
CREATE TRIGGER trg_pending_holds_after AFTER INSERT OR UPDATE ON accounts.pending_holds
FOR EACH ROW EXECUTE FUNCTION accounts.after_hold();
ALTER TABLE accounts.pending_holds ENABLE ALWAYS TRIGGER trg_pending_holds_kept;
ALTER TABLE accounts.pending_holds ENABLE ALWAYS TRIGGER trg_pending_holds_before;
ALTER TABLE accounts.pending_holds ENABLE ALWAYS TRIGGER trg_pending_holds_after;

-- One optimistic attempt (FR-430): when the account moved on meanwhile, CONCURRENT_MODIFICATION, and the caller tries
-- again in a new transaction.
CREATE FUNCTION accounts.create_hold(
    p_account_id uuid, p_amount numeric, p_idempotency_key text, p_ttl interval DEFAULT '24 hours',
    p_payment_id text DEFAULT NULL, p_trace_id text DEFAULT NULL, p_correlation_id text DEFAULT NULL,
    OUT hold_id uuid, OUT account_version integer, OUT expires_at timestamptz, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first accounts.pending_holds;
    -- A day is 24 hours here: the caller's wall clock and its daylight saving do not count.
    lasting interval := make_interval(secs => extract(epoch FROM p_ttl));
BEGIN
    IF (p_amount > 0 AND p_amount < 1e16 AND scale(p_amount) <= 2) IS NOT TRUE THEN
        RAISE EXCEPTION 'no amount to hold: %', p_amount USING ERRCODE = 'NB007', CONSTRAINT = 'AMOUNT_INVALID';
    END IF;
    -- The trigger takes the ledger's lock before any row, and reads the clock; what is no length of a hold, it refuses.
    INSERT INTO accounts.pending_holds AS h (account_id, amount, payment_id, idempotency_key, account_version, created_at,
        expires_at, trace_id, correlation_id)
    SELECT p_account_id, p_amount::numeric(18, 2), p_payment_id, p_idempotency_key, a.version, now(), now() + lasting,
        p_trace_id, p_correlation_id
    FROM accounts.accounts AS a
    WHERE a.account_id = p_account_id
    ON CONFLICT ON CONSTRAINT uniq_pending_holds_idempotency_key DO NOTHING
    RETURNING h.hold_id, h.account_version + 1, h.expires_at, false
    INTO create_hold.hold_id, create_hold.account_version, create_hold.expires_at, replayed;
    IF NOT FOUND THEN
        SELECT h.* INTO first FROM accounts.pending_holds AS h WHERE h.idempotency_key = p_idempotency_key;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no account %', p_account_id USING ERRCODE = 'NB004', CONSTRAINT = 'ACCOUNT_NOT_FOUND';
        END IF;
        IF (first.account_id, first.amount, first.payment_id, first.expires_at - first.created_at)
            IS DISTINCT FROM (p_account_id, p_amount, p_payment_id, lasting)
        THEN
            RAISE EXCEPTION 'this key made hold % with another request', first.hold_id
                USING ERRCODE = 'NB008', CONSTRAINT = 'IDEMPOTENCY_KEY_REUSED';
        END IF;
        hold_id := first.hold_id;
        account_version := first.account_version + 1;
        expires_at := first.expires_at;
        replayed := true;
    END IF;
END
$$;

CREATE FUNCTION accounts.release_hold(
    p_hold_id uuid, p_reason text, p_trace_id text DEFAULT NULL, p_correlation_id text DEFAULT NULL,
    OUT hold_id uuid, OUT account_id uuid, OUT amount numeric, OUT released_at timestamptz, OUT release_reason text,
    OUT released boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (p_reason ~ '^[A-Z][A-Z_]{0,49}$') IS NOT TRUE THEN
        RAISE EXCEPTION 'a reason is upper case letters and underscores' USING ERRCODE = 'NB014', CONSTRAINT = 'HOLD_INVALID';
    END IF;
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE;
    -- The account first, then the hold: the order in which everybody locks.
    PERFORM FROM accounts.accounts AS a
    WHERE a.account_id = (SELECT h.account_id FROM accounts.pending_holds AS h WHERE h.hold_id = p_hold_id)
    FOR NO KEY UPDATE;
    UPDATE accounts.pending_holds AS h
    SET released_at = clock_timestamp(), release_reason = p_reason
    WHERE h.hold_id = p_hold_id AND h.released_at IS NULL;
    released := FOUND;
    SELECT h.hold_id, h.account_id, h.amount, h.released_at, h.release_reason
    INTO release_hold.hold_id, release_hold.account_id, release_hold.amount, release_hold.released_at, release_hold.release_reason
    FROM accounts.pending_holds AS h
    WHERE h.hold_id = p_hold_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no hold %', p_hold_id USING ERRCODE = 'NB012', CONSTRAINT = 'HOLD_NOT_FOUND';
    END IF;
END
$$;

-- Book-keeping, not correctness: readers leave expired holds out by themselves.
CREATE FUNCTION accounts.sweep_holds(p_limit integer DEFAULT 1000)
RETURNS TABLE (hold_id uuid, account_id uuid, amount numeric, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    expired uuid[];
BEGIN
    LOCK TABLE core.ledger_lock IN ROW SHARE MODE;
    SELECT array_agg(e.hold_id) INTO expired
    FROM (
        SELECT h.hold_id
        FROM accounts.pending_holds AS h
        WHERE h.released_at IS NULL AND h.expires_at <= clock_timestamp()
        LIMIT p_limit
    ) AS e;
    PERFORM FROM accounts.accounts AS a
    WHERE a.account_id IN (SELECT h.account_id FROM accounts.pending_holds AS h WHERE h.hold_id = ANY(expired))
    ORDER BY a.account_id
    FOR NO KEY UPDATE;
    RETURN QUERY
    UPDATE accounts.pending_holds AS h
    SET released_at = clock_timestamp(), release_reason = 'EXPIRED'
    WHERE h.hold_id = ANY(expired) AND h.released_at IS NULL
    RETURNING h.hold_id, h.account_id, h.amount::numeric, h.expires_at;
END
$$;

REVOKE EXECUTE ON FUNCTION
    accounts.refuse_hold(uuid, numeric),
    accounts.spendable(uuid),
    accounts.held(uuid),
    accounts.before_hold(),
    accounts.after_hold(),
    accounts.create_hold(uuid, numeric, text, interval, text, text, text),
    accounts.release_hold(uuid, text, text, text),
    accounts.sweep_holds(integer)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    accounts.create_hold(uuid, numeric, text, interval, text, text, text),
    accounts.release_hold(uuid, text, text, text),
    accounts.sweep_holds(integer)
TO bank_core_app_user;
GRANT EXECUTE ON FUNCTION accounts.held(uuid) TO bank_core_app_user, bank_core_readonly;
