-- squawk-ignore-file require-concurrent-index-deletion
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
