-- list --
SELECT k.key_id, k.name, k.kind, k.algorithm, k.public_jwk, k.valid_from, k.valid_until, k.authority, k.registered_at,
    k.registered_by, r.revoked_at, r.reason AS revocation_reason,
    (r.key_id IS NULL AND k.valid_from <= statement_timestamp()
        AND (k.valid_until IS NULL OR k.valid_until > statement_timestamp())) AS usable
FROM core.obr_keys AS k
LEFT JOIN core.obr_key_revocations AS r ON r.key_id = k.key_id
ORDER BY k.registered_at, k.key_id

-- register --
SELECT k.key_id, k.authority, k.registered_at, k.replayed
FROM core.obr_register_key(
    p_name => %(name)s::text, p_kind => %(kind)s::text, p_public_jwk => %(public_jwk)s::jsonb,
    p_valid_from => %(valid_from)s::timestamptz, p_valid_until => %(valid_until)s::timestamptz,
    p_documents => %(documents)s::text[], p_scope => %(scope)s::text, p_reference => %(reference)s::text,
    p_actor => %(actor)s::text, p_trace_id => %(trace_id)s::text
) AS k

-- revoke --
SELECT k.key_id, k.revoked_at, k.replayed
FROM core.obr_revoke_key(
    p_key_id => %(key_id)s::text, p_reason => %(reason)s::text, p_documents => %(documents)s::text[],
    p_scope => %(scope)s::text, p_reference => %(reference)s::text, p_actor => %(actor)s::text,
    p_trace_id => %(trace_id)s::text
) AS k
