-- log --
-- Values that no posting has, and that neither a hash can be made of nor every program read: asked for where that failed.
SELECT l.account_id || '/' || l.seq AS row, 'altered' AS kind, 'row ' || l.account_id || '/' || l.seq || ' has values that no posting has' AS message
FROM core.transaction_log AS l
WHERE l.account_id BETWEEN %(first)s AND %(last)s AND (l.amount BETWEEN 0 AND 1e16 AND l.balance_after BETWEEN -1e16 AND 1e16
    AND l.available_after BETWEEN -1e16 AND 1e16 AND l.posted_at BETWEEN '1900-01-01' AND '9999-12-31') IS NOT TRUE
ORDER BY l.account_id, l.seq
LIMIT 20

-- holds --
SELECT l.account_id || '/' || l.seq AS row, 'altered' AS kind, 'row ' || l.account_id || '/' || l.seq || ' has values that no hold has' AS message
FROM core.hold_log AS l
WHERE l.account_id BETWEEN %(first)s AND %(last)s AND (l.amount BETWEEN 0 AND 1e16 AND l.available_after BETWEEN -1e16 AND 1e16
    AND l.recorded_at BETWEEN '1900-01-01' AND '9999-12-31' AND l.expires_at BETWEEN '1900-01-01' AND '9999-12-31') IS NOT TRUE
ORDER BY l.account_id, l.seq
LIMIT 20
