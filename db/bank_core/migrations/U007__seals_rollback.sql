DROP FUNCTION core.seal_log(text, text);
DROP TABLE core.log_seal_entries;
DROP TABLE core.log_seals;
