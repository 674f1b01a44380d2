DELETE FROM core.sealed_tables WHERE relation = 'core.audit_log';
DROP FUNCTION core.record_audit(text, text, text, text, text, text, jsonb);
DROP TABLE core.audit_log;
DROP FUNCTION core.stamp_audit();
