DROP FUNCTION core.seal_log(text, text);
DROP FUNCTION core.records_to_seal();
DROP FUNCTION core.seal_records(bigint);
DROP TABLE core.log_seal_records;
DROP TABLE core.sealed_tables;
DROP TABLE core.log_seal_entries;
DROP TABLE core.log_seals;
