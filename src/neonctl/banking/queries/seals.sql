-- seal --
SELECT s.seal_no, s.previous_hash, s.accounts, s.log_rows, s.hold_rows, s.batch_hash, s.seal_hash, s.sealed_at, s.created
FROM core.seal_log(p_actor => %(actor)s::text, p_trace_id => %(trace_id)s::text) AS s
