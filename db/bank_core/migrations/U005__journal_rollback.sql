-- squawk-ignore-file constraint-missing-not-valid
DROP FUNCTION accounts.reverse_transaction(uuid, text, text, text, text, text);
DROP FUNCTION accounts.post_transaction(text, uuid [], text [], numeric [], text [], date, date, text, text, text, text, uuid);
DROP FUNCTION accounts.same_request(accounts.transactions, uuid [], text [], numeric [], text [], date, date, text, text);
ALTER TABLE accounts.accounts ADD CONSTRAINT chk_accounts_not_overdrawn CHECK (is_internal OR balance + overdraft_limit >= 0);
DROP TRIGGER trg_postings_applied ON accounts.postings;
DROP FUNCTION accounts.apply_postings();
DROP FUNCTION accounts.apply_legs(accounts.transactions, bytea, smallint [], uuid [], text [], numeric [], text [], boolean);
DROP FUNCTION accounts.record_reversal(uuid, uuid);
DROP FUNCTION accounts.refuse_legs(smallint [], uuid [], text [], text [], boolean, boolean);
DROP TABLE core.transaction_log;
DROP TABLE accounts.reversals;
DROP TABLE accounts.postings;
DROP TABLE accounts.transactions;
DROP FUNCTION accounts.require_legs();
DROP DOMAIN core.book_date;
DROP DOMAIN core.entry_side;
