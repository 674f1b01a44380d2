DROP TABLE assets.asset_valuations;
DROP TABLE assets.asset_register;
DROP TABLE contexts.account_contexts;
DROP TABLE contexts.business_contexts;
DROP TABLE treasury.positions;
DROP TABLE treasury.nostro_statements;
DROP TABLE treasury.nostro_accounts;
DROP FUNCTION core.require_internal_account();
