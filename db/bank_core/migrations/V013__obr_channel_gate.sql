-- The channel gate (MOD-143, FR-635), in the order that AD-1 demands: not activated, nothing more is asked; a credit
-- always lands; only then is the account looked at. No lock is taken here, in the order of the legs: the account's own
-- trigger (V012) decides again under the lock that the posting takes in the order of ids.
--
-- Each posting ever made pays for the first answer, so it is as cheap as can be. STABLE takes no snapshot of its own: the
-- statement's is newer than the ledger's lock, under which post_transaction inserts, and the state does not change while
-- that is held. By the key: a scan of the whole table, of one row as well, first asks the system how long the file is. That
-- there is no row is asked last.
CREATE FUNCTION core.fn_posting_obr_channel_gate() RETURNS trigger
LANGUAGE plpgsql STABLE AS $$
DECLARE
    state text;
    a record;
BEGIN
    SELECT s.resolution_state::text INTO state FROM core.obr_resolution_state AS s WHERE s.id = 'current';
    IF state <> 'activated' THEN RETURN NEW; END IF;
    IF state IS NULL THEN
        RAISE EXCEPTION 'core.obr_resolution_state has no row' USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_STATE_TABLE_EMPTY';
    END IF;
    IF NEW.entry_type = 'CREDIT' THEN RETURN NEW; END IF;
    SELECT x.obr_partitioned, x.obr_available_amount INTO a FROM accounts.accounts AS x WHERE x.account_id = NEW.account_id;
    IF a.obr_partitioned AND NEW.amount > a.obr_available_amount THEN
        RAISE EXCEPTION 'leg %: account % has % available in the resolution, not %', NEW.leg, NEW.account_id,
            a.obr_available_amount, NEW.amount
            USING ERRCODE = 'NB033', CONSTRAINT = 'OBR_FROZEN_BALANCE';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER trg_00_postings_obr_channel_gate BEFORE INSERT ON accounts.postings
FOR EACH ROW EXECUTE FUNCTION core.fn_posting_obr_channel_gate();
ALTER TABLE accounts.postings ENABLE ALWAYS TRIGGER trg_00_postings_obr_channel_gate;

REVOKE EXECUTE ON FUNCTION core.fn_posting_obr_channel_gate() FROM PUBLIC;
