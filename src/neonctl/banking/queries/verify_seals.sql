-- seals --
SELECT s.seal_no, s.previous_hash, s.accounts, s.log_rows, s.hold_rows, s.batch_hash, s.seal_hash, s.sealed_at
FROM core.log_seals AS s
WHERE s.seal_no > %(since)s
ORDER BY s.seal_no

-- seal_batch --
-- The heads that a seal is over, each compared with the row that it is the hash of.
SELECT
    count(*) AS entries,
    sha256(coalesce(string_agg(uuid_send(e.account_id) || int8send(e.seq) || e.head || int8send(e.hold_seq) || e.hold_head, ''
        ORDER BY e.account_id), '')) AS batch_hash,
    coalesce((array_agg(e.account_id ORDER BY e.account_id) FILTER (
        WHERE (e.head = coalesce(l.row_hash, CASE e.seq WHEN 0 THEN %(zero)s::bytea END)) IS NOT TRUE
            OR (e.hold_head = coalesce(h.row_hash, CASE e.hold_seq WHEN 0 THEN %(zero)s::bytea END)) IS NOT TRUE))[:20], '{}') AS faulty
FROM core.log_seal_entries AS e
LEFT JOIN core.transaction_log AS l ON l.account_id = e.account_id AND l.seq = e.seq
LEFT JOIN core.hold_log AS h ON h.account_id = e.account_id AND h.seq = e.hold_seq
WHERE e.seal_no = %(seal_no)s
