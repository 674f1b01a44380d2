DROP TABLE accounts.account_party_relationships;
DROP TABLE accounts.accounts;
DROP DOMAIN core.obr_amount;
