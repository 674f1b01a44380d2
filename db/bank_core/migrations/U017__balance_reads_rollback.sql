DROP FUNCTION accounts.party_balances(uuid);
DROP FUNCTION accounts.balance(uuid);
