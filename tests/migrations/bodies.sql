-- Bodies of every kind that PostgreSQL accepts. A test runs this file on a real server, and lint has nothing to say.
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('fine', 'bad');
CREATE DOMAIN s.money AS numeric(18, 2) CHECK (value >= 0);
CREATE TABLE s.t (id bigint PRIMARY KEY, b numeric(18, 2) DEFAULT 0, m s.mood, tags text[]);
CREATE TYPE s.pair AS (a int, b text);

CREATE FUNCTION s.trigger_of_all_kinds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before s.t%ROWTYPE;
    amount s.t.b%TYPE := 0;
BEGIN
    IF TG_OP = 'DELETE' AND TG_LEVEL = 'ROW' THEN
        RAISE EXCEPTION USING ERRCODE = '23000', MESSAGE = format('%s is append-only', TG_TABLE_NAME), HINT = TG_ARGV[0];
    ELSIF TG_WHEN = 'BEFORE' THEN
        before := OLD;
        before.b := NEW.b;
        NEW.b = before.b + amount;
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION s.types_with_schemas(p s.t, VARIADIC more s.money[]) RETURNS SETOF s.pair LANGUAGE plpgsql STABLE AS $body$
#variable_conflict use_column
<<outer_block>>
DECLARE
    one s.pair;
    many s.mood[] := ARRAY['fine']::s.mood[];
    fixed CONSTANT s.money NOT NULL := 1.00;
    é s.mood DEFAULT 'bad';
    all_rows CURSOR (least bigint) FOR SELECT * FROM s.t WHERE id > least ORDER BY id;
    other refcursor;
    found_one record;
    "Quoted Name" s.t;
    p2 ALIAS FOR $1;
BEGIN
    one.a := fixed;
    one.b := more[1]::text || é::text;
    RETURN NEXT one;
    "Quoted Name".id := 3;
    p2.b := 4;
    <<through>>
    FOR found_one IN all_rows(least := 3) LOOP
        CONTINUE through WHEN found_one.id = 5;
        EXIT outer_block WHEN found_one.m = 'bad' AND many[1] = 'fine';
    END LOOP through;
    OPEN other SCROLL FOR SELECT id FROM s.t;
    FETCH ABSOLUTE 2 FROM other INTO one.a;
    MOVE NEXT FROM other;
    CLOSE other;
    OPEN all_rows(4);
    FETCH all_rows INTO found_one;
    RETURN QUERY SELECT 1, 'x'::text;
    RETURN QUERY EXECUTE 'SELECT $1, $2' USING 1, 'x'::text;
    DECLARE
        inner_one s.pair := ROW(1, 'x');
    BEGIN
        inner_one.b := NULL;
        RETURN NEXT inner_one;
    END;
    RETURN;
END outer_block
$body$;

CREATE FUNCTION s.control(a int, OUT total s.money, INOUT name text) LANGUAGE plpgsql AS '
DECLARE
    i int;
    x text;
BEGIN
    total := 0;
    FOR i IN REVERSE a..1 BY 2 LOOP
        total := total + i;
    END LOOP;
    WHILE total > 10 LOOP
        total := total - 1;
    END LOOP;
    LOOP
        EXIT WHEN total < 100;
        total := total / 2;
    END LOOP;
    FOREACH x SLICE 0 IN ARRAY ARRAY[''it''''s'', ''b''] LOOP
        name := name || x;
    END LOOP;
    CASE a WHEN 1, 2 THEN name := ''few''; ELSE name := ''many''; END CASE;
    CASE WHEN a > 1 THEN NULL; END CASE;
    ASSERT a > 0, ''a counts'';
    PERFORM pg_sleep(0);
EXCEPTION
    WHEN unique_violation OR SQLSTATE ''22012'' THEN
        GET STACKED DIAGNOSTICS name = MESSAGE_TEXT;
        RAISE;
    WHEN OTHERS THEN
        RAISE NOTICE ''% %%'', SQLERRM;
END';

CREATE FUNCTION s.dynamic(tab regclass) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = s, pg_temp AS $$
DECLARE n bigint; r s.t; v int[];
BEGIN
    EXECUTE format('SELECT count(*) FROM %s WHERE id > $1', tab) INTO STRICT n USING 0;
    UPDATE s.t SET b = b + 1 WHERE id = n RETURNING * INTO r;
    INSERT INTO s.t (id) VALUES (n) ON CONFLICT (id) DO UPDATE SET b = excluded.b RETURNING id INTO n;
    WITH gone AS (DELETE FROM s.t WHERE id = 1 RETURNING id) SELECT count(*) INTO n FROM gone;
    SELECT array_agg(id ORDER BY id), max(id) INTO v, n FROM s.t;
    v[1:2] := ARRAY[1, 2];
    v[n + 1] := 7;
    GET DIAGNOSTICS n = ROW_COUNT;
    CREATE TEMP TABLE scratch ON COMMIT DROP AS SELECT 1 AS commit;
    LOCK TABLE s.t IN SHARE ROW EXCLUSIVE MODE;
    PERFORM 'COMMIT;', $q$ROLLBACK;$q$ -- COMMIT;
        ;
    IF NOT FOUND THEN RETURN 0; END IF;
    RETURN n;
END $$;

CREATE FUNCTION s.as_table(anyelement) RETURNS TABLE (id s.mood, amount s.money) LANGUAGE plpgsql AS $$
BEGIN
    id := 'fine';
    amount := 1;
    RETURN NEXT;
    MERGE INTO s.t USING (VALUES (1)) v (x) ON t.id = v.x WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED THEN INSERT (id) VALUES (x);
END $$;

CREATE FUNCTION s.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
    FOR c IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
        RAISE LOG '% % %', TG_EVENT, TG_TAG, c.object_identity;
    END LOOP;
END $$;

CREATE PROCEDURE s.does(INOUT n int DEFAULT NULL) LANGUAGE plpgsql AS $$ BEGIN n := coalesce(n, 0) + 1; CALL s.does_sql(); END $$;
CREATE PROCEDURE s.does_sql() LANGUAGE sql BEGIN ATOMIC INSERT INTO s.t (id) VALUES (9); SELECT 1; END;
CREATE FUNCTION s.one() RETURNS int LANGUAGE sql IMMUTABLE RETURN 1;
CREATE FUNCTION s.sql(a s.t) RETURNS s.t LANGUAGE sql AS $$ UPDATE s.t SET b = 2 WHERE id = ($1).id RETURNING *; $$;

DO LANGUAGE plpgsql $do$
DECLARE r s.t; n int = 1;
BEGIN
    DO $inner$ BEGIN PERFORM 1; END $inner$;
    CALL s.does(n);
    -- neonctl: all-rows
    UPDATE s.t SET tags = ARRAY['x'];
    EXECUTE 'CREATE VIEW s.v AS SELECT 1 AS "commit"';
END $do$;
