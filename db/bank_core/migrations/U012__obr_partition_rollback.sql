-- squawk-ignore-file require-concurrent-index-deletion
DROP TRIGGER trg_acct_party_rel_enters_ledger ON accounts.account_party_relationships;
DROP TRIGGER trg_accounts_enters_ledger ON accounts.accounts;
DROP FUNCTION core.enter_ledger_first();
DROP TRIGGER trg_accounts_birth_in_resolution ON accounts.accounts;
DROP TRIGGER trg_accounts_standing_in_resolution ON accounts.accounts;
DROP TRIGGER trg_accounts_obr_frozen ON accounts.accounts;
DROP FUNCTION accounts.account_birth_in_resolution();
DROP FUNCTION accounts.lift_in_resolution();
DROP FUNCTION accounts.keep_obr_frozen();
DROP FUNCTION core.obr_evidence(uuid, bigint);
DROP TABLE core.obr_holder_partitions;
DROP TABLE core.obr_account_partitions;
DROP INDEX accounts.idx_accounts_obr_partition_active;
ALTER TABLE accounts.accounts SET (fillfactor = 80);
DROP TABLE core.products;
