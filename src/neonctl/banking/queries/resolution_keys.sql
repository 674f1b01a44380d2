-- register --
SELECT r.*
FROM core.obr_register_key(
    %(name)s, %(kind)s, %(public_jwk)s::jsonb, %(valid_from)s, %(valid_until)s, %(documents)s::text[], %(scope)s, %(reference)s,
    %(actor)s, %(trace_id)s
) AS r

-- revoke --
SELECT r.*
FROM core.obr_revoke_key(
    %(key_id)s, %(reason)s, %(documents)s::text[], %(scope)s, %(reference)s, %(actor)s, %(trace_id)s
) AS r

-- list --
SELECT
    k.key_id, k.name, k.kind, k.algorithm, k.public_jwk, k.valid_from, k.valid_until, k.authority, k.registered_at,
    k.registered_by, r.revoked_at, r.reason AS revoked_reason, r.revoked_by, CASE
        WHEN r.key_id IS NOT NULL THEN 'revoked'
        WHEN k.valid_until <= statement_timestamp() THEN 'expired'
        WHEN k.valid_from > statement_timestamp() THEN 'not_yet_valid'
        ELSE 'valid'
    END AS standing
FROM core.obr_keys AS k
LEFT JOIN core.obr_key_revocations AS r ON r.key_id = k.key_id
ORDER BY k.registered_at, k.key_id

-- instructions --
SELECT
    i.instruction_id, i.event_id, i.registered_key_id, i.revoked_key_id, i.document_no, i.action, i.jti, i.key_id, i.document,
    i.recorded_at
FROM core.obr_instructions AS i
ORDER BY i.instruction_id
