-- squawk-ignore-file constraint-missing-not-valid, prefer-bigint-over-smallint
-- Who may order a resolution (MOD-143, 11.1): keys of the regulator and of officers, and what they signed.
--
-- The database does no cryptography. It checks everything about an instruction that needs none, and keeps the signed
-- bytes: whoever has them can check the signatures again, and an event without them is exposed.

CREATE TABLE core.obr_keys (
    key_id text NOT NULL CONSTRAINT obr_keys_pkey PRIMARY KEY,
    name core.trace_text NOT NULL,
    kind text NOT NULL,
    algorithm text NOT NULL,
    public_jwk jsonb NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    authority text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    registered_by text NOT NULL,
    db_user text NOT NULL DEFAULT session_user,
    trace_id text,
    CONSTRAINT chk_obr_keys_kind CHECK (kind IN ('officer', 'regulator')),
    CONSTRAINT chk_obr_keys_algorithm CHECK (algorithm IN ('EdDSA', 'ES256')),
    CONSTRAINT chk_obr_keys_validity CHECK (valid_until > valid_from),
    CONSTRAINT chk_obr_keys_authority CHECK (authority IN ('BOOTSTRAP', 'OFFICERS'))
);

CREATE TABLE core.obr_key_revocations (
    key_id text NOT NULL CONSTRAINT obr_key_revocations_pkey PRIMARY KEY
    CONSTRAINT fk_obr_key_revocations_key_id REFERENCES core.obr_keys (key_id),
    reason core.trace_text NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_by text NOT NULL,
    db_user text NOT NULL DEFAULT session_user,
    trace_id text
);

CREATE TABLE core.obr_instructions (
    instruction_id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT obr_instructions_pkey PRIMARY KEY,
    event_id uuid CONSTRAINT fk_obr_instructions_event_id REFERENCES core.obr_partition_events (event_id),
    registered_key_id text CONSTRAINT fk_obr_instructions_registered_key_id REFERENCES core.obr_keys (key_id),
    revoked_key_id text CONSTRAINT fk_obr_instructions_revoked_key_id REFERENCES core.obr_key_revocations (key_id),
    document_no smallint NOT NULL,
    action text NOT NULL,
    jti text NOT NULL,
    key_id text NOT NULL CONSTRAINT fk_obr_instructions_key_id REFERENCES core.obr_keys (key_id),
    document text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT uniq_obr_instructions_jti UNIQUE (jti, document_no),
    CONSTRAINT chk_obr_instructions_subject CHECK (num_nonnulls(event_id, registered_key_id, revoked_key_id) = 1),
    CONSTRAINT chk_obr_instructions_document_no CHECK (document_no IN (1, 2))
);

-- What an unwind's instruction names by its hash.
CREATE TABLE core.obr_permanent_haircuts (
    event_id uuid NOT NULL CONSTRAINT obr_permanent_haircuts_pkey PRIMARY KEY
    CONSTRAINT fk_obr_permanent_haircuts_event_id REFERENCES core.obr_partition_events (event_id),
    file text NOT NULL
);

CREATE INDEX idx_obr_instructions_event_id ON core.obr_instructions (event_id);

COMMENT ON TABLE core.obr_keys IS 'Public keys whose signatures order a resolution. Append-only; key_id is the RFC 7638 thumbprint.';
COMMENT ON COLUMN core.obr_keys.name IS 'Whose key it is: two officers have two names.';
COMMENT ON COLUMN core.obr_keys.authority IS 'BOOTSTRAP: one of the first two officers'' keys, added by the credential alone.';
COMMENT ON TABLE core.obr_key_revocations IS 'Keys that are trusted no more. Append-only.';
COMMENT ON TABLE core.obr_instructions IS 'The signed documents behind each event and each change of a key, to the byte. Append-only.';
COMMENT ON COLUMN core.obr_instructions.document IS 'Compact JWS.';
COMMENT ON TABLE core.obr_permanent_haircuts IS 'The confirmed files of what was written off for good at an unwind, to the byte. Append-only.';
COMMENT ON COLUMN core.obr_permanent_haircuts.file IS 'Its bytes are UTF-8; their SHA-256 is what was signed.';

-- No session but the resolution officer's: not even the owner's, whose own right to INSERT no GRANT takes away.
CREATE FUNCTION core.require_resolution_officer() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF session_user <> 'bank_core_resolution_officer' THEN
        RAISE EXCEPTION 'only bank_core_resolution_officer writes %.%', TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'NB035', CONSTRAINT = 'OBR_OFFICER_ONLY';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_obr_keys_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.obr_keys
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_keys_officer BEFORE INSERT ON core.obr_keys
FOR EACH STATEMENT EXECUTE FUNCTION core.require_resolution_officer();
CREATE TRIGGER trg_obr_key_revocations_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.obr_key_revocations
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_key_revocations_officer BEFORE INSERT ON core.obr_key_revocations
FOR EACH STATEMENT EXECUTE FUNCTION core.require_resolution_officer();
CREATE TRIGGER trg_obr_instructions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.obr_instructions
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_instructions_officer BEFORE INSERT ON core.obr_instructions
FOR EACH STATEMENT EXECUTE FUNCTION core.require_resolution_officer();
CREATE TRIGGER trg_obr_permanent_haircuts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.obr_permanent_haircuts
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_permanent_haircuts_officer BEFORE INSERT ON core.obr_permanent_haircuts
FOR EACH STATEMENT EXECUTE FUNCTION core.require_resolution_officer();
CREATE TRIGGER trg_obr_keys_linked AFTER INSERT ON core.obr_keys
FOR EACH ROW EXECUTE FUNCTION core.link_obr_record('key_id');
CREATE TRIGGER trg_obr_key_revocations_linked AFTER INSERT ON core.obr_key_revocations
FOR EACH ROW EXECUTE FUNCTION core.link_obr_record('key_id');
CREATE TRIGGER trg_obr_instructions_linked AFTER INSERT ON core.obr_instructions
FOR EACH ROW EXECUTE FUNCTION core.link_obr_record('instruction_id');
CREATE TRIGGER trg_obr_permanent_haircuts_linked AFTER INSERT ON core.obr_permanent_haircuts
FOR EACH ROW EXECUTE FUNCTION core.link_obr_record('event_id');
ALTER TABLE core.obr_keys ENABLE ALWAYS TRIGGER trg_obr_keys_append_only;
ALTER TABLE core.obr_keys ENABLE ALWAYS TRIGGER trg_obr_keys_officer;
ALTER TABLE core.obr_key_revocations ENABLE ALWAYS TRIGGER trg_obr_key_revocations_append_only;
ALTER TABLE core.obr_key_revocations ENABLE ALWAYS TRIGGER trg_obr_key_revocations_officer;
ALTER TABLE core.obr_instructions ENABLE ALWAYS TRIGGER trg_obr_instructions_append_only;
ALTER TABLE core.obr_instructions ENABLE ALWAYS TRIGGER trg_obr_instructions_officer;
ALTER TABLE core.obr_permanent_haircuts ENABLE ALWAYS TRIGGER trg_obr_permanent_haircuts_append_only;
ALTER TABLE core.obr_permanent_haircuts ENABLE ALWAYS TRIGGER trg_obr_permanent_haircuts_officer;
ALTER TABLE core.obr_keys ENABLE ALWAYS TRIGGER trg_obr_keys_linked;
ALTER TABLE core.obr_key_revocations ENABLE ALWAYS TRIGGER trg_obr_key_revocations_linked;
ALTER TABLE core.obr_instructions ENABLE ALWAYS TRIGGER trg_obr_instructions_linked;
ALTER TABLE core.obr_permanent_haircuts ENABLE ALWAYS TRIGGER trg_obr_permanent_haircuts_linked;

CREATE FUNCTION core.base64url(p_bytes bytea) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT rtrim(translate(encode(p_bytes, 'base64'), E'+/\n', '-_'), '=')
$$;

-- RFC 7638: the hash of the key's required members, in order.
CREATE FUNCTION core.jwk_thumbprint(p_jwk jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT core.base64url(sha256(convert_to(CASE p_jwk ->> 'kty'
        WHEN 'OKP' THEN format('{"crv":%s,"kty":"OKP","x":%s}', p_jwk -> 'crv', p_jwk -> 'x')
        WHEN 'EC' THEN format('{"crv":%s,"kty":"EC","x":%s,"y":%s}', p_jwk -> 'crv', p_jwk -> 'x', p_jwk -> 'y')
    END, 'UTF8')))
$$;

-- A part of a compact JWS: 1 the header, 2 the payload.
CREATE FUNCTION core.jws_part(p_document text, p_part integer) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    part text := translate(split_part(p_document, '.', p_part), '-_', '+/');
BEGIN
    IF p_document ~ '^[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+$' THEN
        RETURN decode(part || repeat('=', (4 - length(part) % 4) % 4), 'base64');
    END IF;
    RAISE EXCEPTION 'not a compact JWS' USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_INVALID';
EXCEPTION WHEN invalid_parameter_value THEN
    RAISE EXCEPTION 'not a compact JWS' USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_INVALID';
END
$$;

CREATE FUNCTION core.jws_json(p_document text, p_part integer) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    found jsonb;
BEGIN
    BEGIN
        found := convert_from(core.jws_part(p_document, p_part), 'UTF8')::jsonb;
    EXCEPTION WHEN data_exception THEN
        found := NULL;
    END;
    IF jsonb_typeof(found) = 'object' THEN
        RETURN found;
    END IF;
    RAISE EXCEPTION 'part % of the instruction is no JSON object', p_part
        USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_INVALID';
END
$$;

-- A claim says what is asked for: an amount by its value, anything else by its text.
CREATE FUNCTION core.claim_matches(p_claim jsonb, p_asked jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN jsonb_typeof(p_asked) <> 'number' THEN p_claim = p_asked
        WHEN (p_claim #>> '{}') ~ '^[0-9]{1,18}([.][0-9]{1,4})?$' THEN (p_claim #>> '{}')::numeric = (p_asked #>> '{}')::numeric
        ELSE false
    END IS TRUE
$$;

-- Was this instruction used before? Asked while the singleton's row is locked.
CREATE FUNCTION core.refuse_replayed(p_documents text []) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    used core.obr_instructions;
BEGIN
    SELECT i.* INTO used
    FROM unnest(p_documents) AS d (document)
    JOIN core.obr_instructions AS i ON i.jti = core.jws_json(d.document, 2) ->> 'jti'
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the instruction % was used before, at %', used.jti, used.recorded_at
            USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_REPLAYED', DETAIL = coalesce(used.event_id::text, used.action);
    END IF;
END
$$;

-- Whose word these documents are: the regulator's, or that of two officers who signed the same bytes. p_asked: what the
-- claims must say. Everything is asked of the documents that needs no cryptography.
CREATE FUNCTION core.obr_authority(
    p_documents text [], p_action text, p_asked jsonb, p_officers_only boolean, OUT authority text
)
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    d text;
    header jsonb;
    claims jsonb;
    k core.obr_keys;
    names text[] := '{}';
    claim text;
BEGIN
    IF coalesce(cardinality(p_documents), 0) = 0 OR array_position(p_documents, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'this needs a signed instruction' USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_MISSING';
    END IF;
    IF cardinality(p_documents) > 2 OR (p_officers_only AND cardinality(p_documents) <> 2) THEN
        RAISE EXCEPTION 'one document of the regulator, or two of officers: not %', cardinality(p_documents)
            USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_INVALID';
    END IF;
    authority := CASE WHEN cardinality(p_documents) = 2 THEN 'EMERGENCY' ELSE 'REGULATOR' END;
    IF authority = 'EMERGENCY' AND core.jws_part(p_documents[1], 2) <> core.jws_part(p_documents[2], 2) THEN
        RAISE EXCEPTION 'the two officers did not sign the same'
            USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_PAYLOADS_DIFFER';
    END IF;
    claims := core.jws_json(p_documents[1], 2);
    FOREACH d IN ARRAY p_documents LOOP
        header := core.jws_json(d, 1);
        SELECT x.* INTO k FROM core.obr_keys AS x WHERE x.key_id = header ->> 'kid';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no key % is registered', left(header ->> 'kid', 60)
                USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_KEY_UNKNOWN';
        ELSIF EXISTS (SELECT FROM core.obr_key_revocations AS r WHERE r.key_id = k.key_id) THEN
            RAISE EXCEPTION 'the key % of % was revoked', k.key_id, k.name
                USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_KEY_REVOKED';
        ELSIF k.kind <> (CASE authority WHEN 'REGULATOR' THEN 'regulator' ELSE 'officer' END) THEN
            RAISE EXCEPTION 'the key % is of kind %: that does not suffice here', k.key_id, k.kind
                USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_KEY_WRONG_KIND';
        ELSIF moment < k.valid_from THEN
            RAISE EXCEPTION 'the key % is valid from %', k.key_id, k.valid_from
                USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_KEY_NOT_YET_VALID';
        ELSIF moment >= k.valid_until THEN
            RAISE EXCEPTION 'the key % was valid until %', k.key_id, k.valid_until
                USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_KEY_EXPIRED';
        ELSIF header ->> 'alg' IS DISTINCT FROM k.algorithm THEN
            RAISE EXCEPTION 'the key % signs with %', k.key_id, k.algorithm
                USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_INVALID';
        ELSIF k.name = ANY(names) THEN
            RAISE EXCEPTION 'both signatures are those of %', k.name
                USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_SAME_OFFICER';
        END IF;
        names := names || k.name::text;
    END LOOP;
    IF claims ->> 'action' IS DISTINCT FROM p_action THEN
        RAISE EXCEPTION 'the instruction is to %, not to %', left(claims ->> 'action', 30), p_action
            USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_WRONG_ACTION';
    ELSIF claims ->> 'jurisdiction' = 'AU' THEN
        RAISE EXCEPTION 'there is no regime for AU yet' USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_JURISDICTION_UNSUPPORTED';
    ELSIF (jsonb_typeof(claims -> 'nbf') = 'number' AND jsonb_typeof(claims -> 'exp') = 'number'
        AND length(claims ->> 'jti') BETWEEN 1 AND 200) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'the instruction does not say when it is valid, or which one it is'
            USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_INVALID';
    ELSIF extract(epoch FROM moment) < (claims ->> 'nbf')::numeric THEN
        RAISE EXCEPTION 'the instruction is valid from % on', to_timestamp((claims ->> 'nbf')::numeric::float8)
            USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_NOT_YET_VALID';
    ELSIF extract(epoch FROM moment) >= (claims ->> 'exp')::numeric THEN
        RAISE EXCEPTION 'the instruction was valid until %', to_timestamp((claims ->> 'exp')::numeric::float8)
            USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_EXPIRED';
    END IF;
    FOR claim IN SELECT jsonb_object_keys(p_asked) ORDER BY 1 LOOP
        IF NOT core.claim_matches(claims -> claim, p_asked -> claim) THEN
            RAISE EXCEPTION 'the instruction says % %, asked for is %', claim, left(coalesce(claims ->> claim, 'none'), 60),
                coalesce(p_asked ->> claim, 'none')
                USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_MISMATCH', DETAIL = claim;
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION core.obr_keep_documents(
    p_documents text [], p_event_id uuid, p_registered_key_id text, p_revoked_key_id text
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO core.obr_instructions (event_id, registered_key_id, revoked_key_id, document_no, action, jti, key_id, document)
    SELECT p_event_id, p_registered_key_id, p_revoked_key_id, d.n, core.jws_json(d.document, 2) ->> 'action',
        core.jws_json(d.document, 2) ->> 'jti', core.jws_json(d.document, 1) ->> 'kid', d.document
    FROM unnest(p_documents) WITH ORDINALITY AS d (document, n)
$$;

-- Who has locked rows of a table, or the table: on the day, somebody must be able to end that session.
CREATE FUNCTION core.lock_holders(p_relation regclass) RETURNS text
LANGUAGE sql AS $$
    SELECT coalesce(string_agg(DISTINCT
        concat('session ' || l.pid, ' (' || a.usename || ')', 'prepared transaction ' || x.gid), ', '),
        'a session that has ended since')
    FROM pg_locks AS l
    LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
    LEFT JOIN pg_locks AS t ON t.locktype = 'transactionid' AND t.virtualtransaction = l.virtualtransaction AND l.pid IS NULL
    LEFT JOIN pg_prepared_xacts AS x ON x.transaction = t.transactionid
    WHERE l.locktype = 'relation' AND l.relation = p_relation AND l.mode <> 'AccessShareLock' AND l.granted
        AND l.pid IS DISTINCT FROM pg_backend_pid()
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
$$;

-- Before anything: the right role, an isolation in which waiting for others means seeing what they did, and the
-- singleton's row, locked (AD-4, AD-7).
CREATE FUNCTION core.obr_enter() RETURNS core.obr_resolution_state
LANGUAGE plpgsql AS $$
DECLARE
    s core.obr_resolution_state;
BEGIN
    IF session_user <> 'bank_core_resolution_officer' THEN
        RAISE EXCEPTION 'only bank_core_resolution_officer does this' USING ERRCODE = 'NB035', CONSTRAINT = 'OBR_OFFICER_ONLY';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a resolution runs in READ COMMITTED: it must see what ended while it waited'
            USING ERRCODE = 'NB023', CONSTRAINT = 'READ_COMMITTED_REQUIRED';
    END IF;
    BEGIN
        SELECT x.* INTO s FROM core.obr_resolution_state AS x WHERE x.id = 'current' FOR UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        RAISE EXCEPTION 'the resolution state is in use by %', core.lock_holders('core.obr_resolution_state')
            USING ERRCODE = 'lock_not_available';
    END;
    IF s.id IS NULL THEN
        RAISE EXCEPTION 'core.obr_resolution_state has no row' USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_STATE_TABLE_EMPTY';
    END IF;
    RETURN s;
END
$$;

-- Register a key. The first two officers' keys need no documents; everything after them two officers'. Asked while the
-- singleton's row is locked, so that two at once are not both the second.
CREATE FUNCTION core.obr_register_key(
    p_name text, p_kind text, p_public_jwk jsonb, p_valid_from timestamptz, p_valid_until timestamptz, p_documents text [],
    p_scope text, p_reference text, p_actor text, p_trace_id text,
    OUT key_id text, OUT authority text, OUT registered_at timestamptz, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s core.obr_resolution_state := core.obr_enter();
    signs_with text := CASE concat_ws('/', p_public_jwk ->> 'kty', p_public_jwk ->> 'crv')
        WHEN 'OKP/Ed25519' THEN 'EdDSA' WHEN 'EC/P-256' THEN 'ES256' END;
    names text[] := CASE signs_with WHEN 'EdDSA' THEN '{crv,kty,x}' ELSE '{crv,kty,x,y}' END;
    known core.obr_keys;
BEGIN
    -- 256 bits are 43 characters, the last of which has two to spare: other bits there would be another id of the same key.
    IF signs_with IS NULL OR (SELECT array_agg(m.k ORDER BY m.k) FROM jsonb_object_keys(p_public_jwk) AS m (k)) <> names
        OR NOT (p_public_jwk ->> 'x') ~ '^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$'
        OR NOT coalesce(p_public_jwk ->> 'y', p_public_jwk ->> 'x') ~ '^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$'
    THEN
        RAISE EXCEPTION 'a public key is a JWK of Ed25519 or P-256, with its required members only'
            USING ERRCODE = 'NB032', CONSTRAINT = 'OBR_KEY_INVALID';
    END IF;
    IF p_kind NOT IN ('officer', 'regulator') OR p_kind IS NULL OR p_name IS NULL OR btrim(p_name) = ''
        OR (p_valid_until IS NOT NULL AND (p_valid_until > p_valid_from AND p_valid_until > clock_timestamp()) IS NOT TRUE)
    THEN
        RAISE EXCEPTION 'a key has a name, a kind, and a time in which it is valid'
            USING ERRCODE = 'NB032', CONSTRAINT = 'OBR_KEY_INVALID';
    END IF;
    key_id := core.jwk_thumbprint(p_public_jwk);
    SELECT x.* INTO known FROM core.obr_keys AS x WHERE x.key_id = obr_register_key.key_id;
    replayed := FOUND;
    IF replayed THEN
        IF (known.name, known.kind, known.valid_until) IS DISTINCT FROM (p_name, p_kind, p_valid_until)
            OR EXISTS (SELECT FROM core.obr_key_revocations AS r WHERE r.key_id = known.key_id)
        THEN
            RAISE EXCEPTION 'the key % is registered, for % as %', known.key_id, known.name, known.kind
                USING ERRCODE = 'NB032', CONSTRAINT = 'OBR_KEY_EXISTS';
        END IF;
        authority := known.authority;
        registered_at := known.registered_at;
        RETURN;
    END IF;
    authority := CASE
        WHEN p_kind = 'officer' AND coalesce(cardinality(p_documents), 0) = 0
            AND (SELECT count(*) FROM core.obr_keys AS x WHERE x.kind = 'officer') < 2 THEN 'BOOTSTRAP'
        ELSE 'OFFICERS'
    END;
    IF authority = 'BOOTSTRAP' AND EXISTS (SELECT FROM core.obr_keys AS x WHERE x.name = p_name AND x.kind = 'officer') THEN
        RAISE EXCEPTION 'the first two officers'' keys are those of two officers: % has one', p_name
            USING ERRCODE = 'NB031', CONSTRAINT = 'OBR_INSTRUCTION_SAME_OFFICER';
    ELSIF authority = 'OFFICERS' THEN
        PERFORM core.refuse_replayed(p_documents);
        PERFORM core.obr_authority(p_documents, 'add-key', jsonb_build_object('jurisdiction', s.jurisdiction, 'scope', p_scope,
            'reference', p_reference, 'key_id', key_id, 'key_name', p_name, 'key_kind', p_kind,
            'valid_from', floor(extract(epoch FROM p_valid_from)), 'valid_until', floor(extract(epoch FROM p_valid_until))), true);
    END IF;
    INSERT INTO core.obr_keys AS x (key_id, name, kind, algorithm, public_jwk, valid_from, valid_until, authority,
        registered_by, trace_id)
    VALUES (obr_register_key.key_id, p_name, p_kind, signs_with, p_public_jwk,
        coalesce(p_valid_from, clock_timestamp()), p_valid_until, obr_register_key.authority, coalesce(p_actor, session_user), p_trace_id)
    RETURNING x.registered_at INTO obr_register_key.registered_at;
    IF authority = 'OFFICERS' THEN
        PERFORM core.obr_keep_documents(p_documents, NULL, key_id, NULL);
    END IF;
END
$$;

-- Revoke a key: two officers' word, and two of them must still be able to give theirs afterwards.
CREATE FUNCTION core.obr_revoke_key(
    p_key_id text, p_reason text, p_documents text [], p_scope text, p_reference text, p_actor text, p_trace_id text,
    OUT key_id text, OUT revoked_at timestamptz, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s core.obr_resolution_state := core.obr_enter();
BEGIN
    IF NOT EXISTS (SELECT FROM core.obr_keys AS k WHERE k.key_id = p_key_id) THEN
        RAISE EXCEPTION 'no key %', left(p_key_id, 60) USING ERRCODE = 'NB032', CONSTRAINT = 'OBR_KEY_UNKNOWN';
    END IF;
    SELECT r.key_id, r.revoked_at INTO obr_revoke_key.key_id, obr_revoke_key.revoked_at
    FROM core.obr_key_revocations AS r
    WHERE r.key_id = p_key_id;
    replayed := FOUND;
    IF replayed THEN
        RETURN;
    END IF;
    PERFORM core.refuse_replayed(p_documents);
    PERFORM core.obr_authority(p_documents, 'revoke-key', jsonb_build_object('jurisdiction', s.jurisdiction, 'scope', p_scope,
        'reference', p_reference, 'key_id', p_key_id, 'reason', p_reason), true);
    INSERT INTO core.obr_key_revocations AS r (key_id, reason, revoked_by, trace_id)
    VALUES (p_key_id, p_reason, coalesce(p_actor, session_user), p_trace_id)
    RETURNING r.key_id, r.revoked_at INTO obr_revoke_key.key_id, obr_revoke_key.revoked_at;
    IF (
        SELECT count(DISTINCT k.name)
        FROM core.obr_keys AS k
        WHERE k.kind = 'officer' AND k.valid_from <= clock_timestamp()
            AND (k.valid_until IS NULL OR k.valid_until > clock_timestamp())
            AND NOT EXISTS (SELECT FROM core.obr_key_revocations AS r WHERE r.key_id = k.key_id)
    ) < 2 THEN
        RAISE EXCEPTION 'fewer than two officers would be left: nobody could change keys any more'
            USING ERRCODE = 'NB032', CONSTRAINT = 'OBR_LAST_OFFICERS';
    END IF;
    PERFORM core.obr_keep_documents(p_documents, NULL, NULL, p_key_id);
END
$$;

REVOKE EXECUTE ON FUNCTION
    core.require_resolution_officer(),
    core.base64url(bytea),
    core.jwk_thumbprint(jsonb),
    core.jws_part(text, integer),
    core.jws_json(text, integer),
    core.claim_matches(jsonb, jsonb),
    core.refuse_replayed(text []),
    core.obr_authority(text [], text, jsonb, boolean),
    core.obr_keep_documents(text [], uuid, text, text),
    core.lock_holders(regclass),
    core.obr_enter(),
    core.obr_register_key(text, text, jsonb, timestamptz, timestamptz, text [], text, text, text, text),
    core.obr_revoke_key(text, text, text [], text, text, text, text)
FROM PUBLIC;
-- The owner neither; who grants it back to himself is still refused by obr_enter().
REVOKE EXECUTE ON FUNCTION
    core.obr_register_key(text, text, jsonb, timestamptz, timestamptz, text [], text, text, text, text),
    core.obr_revoke_key(text, text, text [], text, text, text, text)
FROM bank_core_migrate_user;
GRANT EXECUTE ON FUNCTION
    core.obr_register_key(text, text, jsonb, timestamptz, timestamptz, text [], text, text, text, text),
    core.obr_revoke_key(text, text, text [], text, text, text, text)
TO bank_core_resolution_officer;
