-- settings --
-- Nothing but pg_catalog is called, and nothing else is found by its bare name: an owner can put a function of his own
-- in every other schema.
SELECT
    pg_catalog.set_config('search_path', 'pg_catalog', true),
    pg_catalog.set_config('jit', 'off', true),
    -- record_send writes texts in the session's encoding; seals are over those of this one.
    pg_catalog.set_config('client_encoding', 'UTF8', true),
    pg_catalog.set_config('work_mem', '64MB', true),
    -- Journals are read in the order of their keys, which is the order on disk as well: no reason to sort or hash them.
    pg_catalog.set_config('random_page_cost', '1.1', true),
    -- Parts differ in what they find: a plan that is kept for all of them suits none.
    pg_catalog.set_config('plan_cache_mode', 'force_custom_plan', true),
    pg_catalog.set_config('max_parallel_workers_per_gather', '0', true)

-- objects --
-- The guards of what is append-only, and that tables are tables. What is missing or switched off, or refuses no more: a
-- function of plpgsql that does not know RETURN can only end in an error.
SELECT g.relation AS row, 'removed' AS kind, CASE
    WHEN c.oid IS NULL THEN g.relation || ' is not there'
    WHEN c.relkind NOT IN ('r', 'p') THEN g.relation || ' is no table'
    WHEN c.relhasrules THEN g.relation || ' has rules that change what is written or read'
    WHEN t.oid IS NULL THEN g.relation || ' has lost its guard ' || g.guard
    WHEN t.tgenabled = 'A' THEN g.relation || ': the guard ' || g.guard || ' does not refuse what it is there for'
    ELSE g.relation || ': the guard ' || g.guard || ' is switched off, or not ALWAYS on'
END AS message
FROM (VALUES
    ('accounts.accounts', 'trg_accounts_kept'), ('accounts.accounts', 'trg_accounts_money'),
    ('accounts.accounts', 'trg_accounts_birth'), ('accounts.accounts', 'trg_accounts_standing'),
    ('accounts.status_changes', 'trg_status_changes_append_only'),
    ('accounts.accounts', 'trg_accounts_identity'), ('accounts.accounts', 'trg_accounts_shard_listed'),
    ('accounts.accounts', 'trg_accounts_shards_follow'),
    ('accounts.account_party_relationships', 'trg_acct_party_rel_shares'),
    ('accounts.transactions', 'trg_transactions_append_only'), ('accounts.transactions', 'trg_transactions_have_legs'),
    ('accounts.postings', 'trg_postings_append_only'), ('accounts.postings', 'trg_postings_applied'),
    ('accounts.reversals', 'trg_reversals_append_only'),
    ('core.transaction_log', 'trg_transaction_log_append_only'),
    ('core.transaction_log', 'trg_transaction_log_written_by_trigger'),
    ('accounts.pending_holds', 'trg_pending_holds_kept'), ('accounts.pending_holds', 'trg_pending_holds_before'),
    ('accounts.pending_holds', 'trg_pending_holds_after'),
    ('core.hold_log', 'trg_hold_log_append_only'), ('core.hold_log', 'trg_hold_log_written_by_trigger'),
    ('core.log_seals', 'trg_log_seals_append_only'), ('core.log_seal_records', 'trg_log_seal_records_append_only'),
    ('core.log_seal_entries', 'trg_log_seal_entries_append_only'),
    ('accounts.daily_balance_snapshots', 'trg_daily_balance_snapshots_append_only'),
    ('core.eod_runs', 'trg_eod_runs_append_only'),
    ('core.audit_log', 'trg_audit_log_append_only'), ('core.audit_log', 'trg_audit_log_stamp'),
    ('core.obr_chain', 'trg_obr_chain_append_only'), ('core.obr_chain', 'trg_obr_chain_written_by_trigger'),
    ('core.obr_partition_events', 'trg_obr_partition_events_linked'),
    ('core.obr_partition_events', 'trg_obr_partition_events_applied'),
    ('core.obr_account_partitions', 'trg_obr_account_partitions_append_only'),
    ('core.obr_holder_partitions', 'trg_obr_holder_partitions_append_only'),
    ('core.obr_instructions', 'trg_obr_instructions_append_only'), ('core.obr_instructions', 'trg_obr_instructions_linked'),
    ('core.obr_permanent_haircuts', 'trg_obr_permanent_haircuts_append_only'),
    ('core.obr_permanent_haircuts', 'trg_obr_permanent_haircuts_linked'),
    ('core.obr_keys', 'trg_obr_keys_append_only'), ('core.obr_keys', 'trg_obr_keys_linked'),
    ('core.obr_key_revocations', 'trg_obr_key_revocations_append_only'),
    ('core.obr_key_revocations', 'trg_obr_key_revocations_linked'),
    ('core.obr_drills', 'trg_obr_drills_append_only'), ('core.obr_drills', 'trg_obr_drills_linked')
) AS g (relation, guard)
LEFT JOIN pg_namespace AS n ON n.nspname = split_part(g.relation, '.', 1)
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(g.relation, '.', 2)
LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname = g.guard
LEFT JOIN pg_proc AS p ON p.oid = t.tgfoid
LEFT JOIN pg_language AS l ON l.oid = p.prolang
WHERE c.oid IS NULL OR c.relkind NOT IN ('r', 'p') OR c.relhasrules OR t.oid IS NULL OR t.tgenabled <> 'A'
    OR (g.guard ~ '_(append_only|kept)$' AND (l.lanname = 'plpgsql' AND p.prosrc !~* 'return' AND t.tgqual IS NULL
        AND t.tgtype & CASE WHEN g.guard ~ 'only$' THEN 58 ELSE 34 END IN (58, 34)) IS NOT TRUE)
ORDER BY 1, 3

-- keys --
-- Without its primary key a table may have a row twice.
SELECT g.relation AS row, 'removed' AS kind, g.relation || ' has lost its primary key' AS message
FROM (VALUES ('accounts', 'accounts'), ('core', 'transaction_log'), ('core', 'hold_log')) AS x (room, name)
CROSS JOIN LATERAL (SELECT x.room || '.' || x.name AS relation) AS g
WHERE NOT EXISTS (
    SELECT
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = x.room AND c.relname = x.name AND i.indisprimary AND i.indisunique AND i.indisvalid AND i.indisready
)

-- account_bounds --
-- First accounts of parts with about so many rows each, by a page in a hundred: where parts begin changes nothing in what
-- they find together.
SELECT x.account_id AS bound
FROM (
    SELECT a.account_id, w.weight, sum(w.weight) OVER (ORDER BY a.account_id) AS upto
    FROM accounts.accounts AS a TABLESAMPLE SYSTEM (1) REPEATABLE (1)
    CROSS JOIN LATERAL (SELECT 100 * (1::numeric + a.log_seq + a.hold_seq) AS weight) AS w -- as numeric: any figure may be forged
) AS x
WHERE div(x.upto, %(size)s) > div(x.upto - x.weight, %(size)s) AND x.upto > x.weight
ORDER BY 1

-- transaction_bounds --
SELECT x.transaction_id AS bound
FROM (
    SELECT t.transaction_id, 100 * row_number() OVER (ORDER BY t.transaction_id) AS upto
    FROM accounts.transactions AS t TABLESAMPLE SYSTEM (1) REPEATABLE (1)
) AS x
WHERE div(x.upto, %(size)s) > div(x.upto - 100, %(size)s) AND x.upto > 100
ORDER BY 1

-- first_new_transaction --
-- The lowest id among the transactions with a row that no seal up to this one is over: ids ascend in time.
SELECT l.transaction_id AS bound
FROM accounts.accounts AS a
LEFT JOIN LATERAL (
    SELECT e.seq
    FROM core.log_seal_entries AS e
    WHERE e.account_id = a.account_id AND e.seal_no <= %(since)s
    ORDER BY e.seal_no DESC
    LIMIT 1
) AS b ON true
CROSS JOIN LATERAL (
    SELECT t.transaction_id FROM core.transaction_log AS t WHERE t.account_id = a.account_id AND t.seq > coalesce(b.seq, 0)
) AS l
ORDER BY 1
LIMIT 1
