DROP FUNCTION core.outbox_prune(timestamptz, integer);
DROP FUNCTION core.outbox_revive(bigint []);
DROP FUNCTION core.outbox_fail(bigint, text, integer, interval);
DROP FUNCTION core.outbox_mark(bigint []);
DROP FUNCTION core.outbox_read(integer);
DROP TABLE core.relay_lock;
DROP FUNCTION core.outbox_events(core.outbox);
DROP FUNCTION core.rfc3339(timestamptz);
