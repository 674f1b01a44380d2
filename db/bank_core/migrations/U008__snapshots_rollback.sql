DROP FUNCTION accounts.take_snapshot(text, date, interval, text, text);
DROP FUNCTION core.ledger_settled(interval);
DROP FUNCTION accounts.ensure_snapshot_partition(date);
DROP FUNCTION accounts.snapshots_due(timestamptz);
DROP FUNCTION accounts.snapshot_cutoff(text, date);
DROP TABLE core.eod_runs;
DROP TABLE accounts.daily_balance_snapshots;
