-- Format json: messages that differ in their scalars only, which need no parser; nothing that the type json refuses gets through.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER fs FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
\pset null '(null)'
SELECT kafka.create_topic('fs', 'fs');
CREATE FOREIGN TABLE fs_raw (value text, _offset bigint) SERVER fs OPTIONS (topic 'fs', format 'raw');
CREATE FOREIGN TABLE fs (a text, c json OPTIONS (path 'b.c'), d text OPTIONS (path 'd[1]'), b json, none text, whole json OPTIONS (path '@'), _offset bigint, _error text)
	SERVER fs OPTIONS (topic 'fs', on_error 'null');

-- what may stand where a scalar does, and what may not
CREATE TABLE fs_parts (part text);
INSERT INTO fs_parts VALUES
	('0'), ('-0'), ('1'), ('-1'), ('12345678901234567890'), ('1.5'), ('0.5'), ('1e5'), ('1E+5'), ('1.25e-7'), ('0e0'),
	('00'), ('01'), ('-01'), ('-'), ('+1'), ('.5'), ('1.'), ('1.e5'), ('1e'), ('1e+'), ('1 2'), ('1x'), ('0x10'), ('1e5.5'), ('--1'), ('NaN'), ('Infinity'),
	('true'), ('false'), ('null'), ('True'), ('tru'), ('truex'), ('true1'), ('falsee'), ('nul'), ('NULL'), ('nullnull'), ('t'), ('f'), ('n'),
	('""'), ('"a"'), ('"a b"'), ('"é"'), ('"日本"'), ('"]"'), ('"}"'), ('",\"a\": 2,"'), ('"\""'), ('"\\"'), ('"\\\""'), ('"\u0041"'), ('"\u00e9\n"'), ('"\ud83d\ude00"'),
	('"'), ('"""'), ('"a'), ('a"'), ('"\"'), ('"\x"'), ('"\u12"'), ('"\ud83d"'), ('"\u0000"'), ('''a'''), ('"a""b"'), ('"a" "b"'), ('"a": 1'),
	(E'"\t"'), (E'"\n"'), (E'"\x01"'), (E'"\x7f"'), (E'\t1'), (E'1\n'),
	(''), (' '), ('{}'), ('[]'), ('{"x": 1}'), ('[1, 2]'), ('['), ('}'), ('1, "d": 2'), ('1, 2'), ('1}'), ('1]'), ('/* */ 1'), (':'), (',');
-- whatever the bytes around it, for they are looked at in words
INSERT INTO fs_parts SELECT format('"%s%s%s"', repeat('x', i), c, repeat('y', 12 - i))
	FROM generate_series(0, 12) i, unnest(ARRAY['"', '\', '\"', E'\t', E'\x1f', ' ', '!', '#', '[', ']', E'\x7f', 'é']) c;
CREATE TABLE fs_odd AS
	SELECT format(text, part) AS value FROM fs_parts, unnest(ARRAY[
		'{"a": %s, "b": {"c": 1}, "d": [0, "d"]}', '{"a": "a", "b": {"c": %s}, "d": [0, "d"]}', '{"a": "a", "b": {"c": 1}, "d": [0, %s]}',
		'{"a": "a", "b": {"c": 1}, "d": [%s, "d"]}', '{"a": "a", "b": {"c": %1$s}, "d": [%1$s, %1$s]}', '%s']) text
		WHERE NOT (text ~ '\[%s,|"c": %s' AND part ~ 'ud83d"|u0000')		-- which are valid where no text is made of them
	UNION SELECT left(text, i) || more FROM (VALUES ('{"a": "a", "b": {"c": 1}, "d": [0, "d"]}')) v(text), generate_series(1, 50) i,
		unnest(ARRAY['', ' ', '}', 'x', '"', ',', '0', '\']) more
	UNION SELECT overlay(text PLACING more FROM i FOR 1) FROM (VALUES ('{"a": "a", "b": {"c": 1}, "d": [0, "d"]}')) v(text), generate_series(1, 40) i,
		unnest(ARRAY['', ' ', '}', 'x', '"', ',', '0', '\', '\"', '{', 'é']) more
	UNION VALUES ('{"a": 1, "b": {"c": 2}, "a": 3, "d": [0, 4], "b": {}}'), ('{"a": 1, "b": {"c": 2}, "a": 3, "d": [0, 4], "b": 5}'), ('{"b": 1, "b": {"c": 2}}'), ('{"b": {"c": 2}, "b": null}'),
		('{"\u0061": 1}'), ('{"\u0061": 1, "a": 2}'), ('{"a": {"a": 1}}'), ('{"a": ["a", {"a": 1}], "d": [[0, 1], [2, 3]]}'), ('{"d": []}'), ('{"d": [1]}'), ('{"d": {"1": 1}}'), ('null'), ('[]');
-- each one behind some with a known shape, twice: the first may be learned from
INSERT INTO fs_raw (value)
	SELECT v FROM (SELECT value, row_number() OVER (ORDER BY value COLLATE "C") n FROM fs_odd) o,
		unnest(ARRAY['{"a": "a", "b": {"c": 1}, "d": [0, "d"]}', '{"a": null, "b": {"c": "one"}, "d": [-1.5, true]}', '{"a": 1, "b": {"c": false}, "d": ["", "a longer string of more than eight bytes"]}',
			'{"a":1}', '{"a":"x"}', '{"a": "a", "b": {"c": 1}, "d": [0, "d"]}', '{"b": {"c": 1}}', '{"b": {"c": null}}', value, value]) WITH ORDINALITY u(v, i)
	ORDER BY n, i;

-- what PostgreSQL reads of each
CREATE FUNCTION fs_read(value text, OUT a text, OUT c text, OUT d text, OUT b text, OUT whole text, OUT ok bool) LANGUAGE plpgsql AS $$
DECLARE
	j json;
BEGIN
	j := value::json;
	ok := json_typeof(j) IN ('object', 'null');
	IF ok THEN
		a := j ->> 'a'; c := nullif((j -> 'b' -> 'c')::text, 'null'); d := CASE WHEN json_typeof(j -> 'd') = 'array' THEN j -> 'd' ->> 1 END;
		b := nullif((j -> 'b')::text, 'null'); whole := nullif(btrim(value, E' \t\r\n'), 'null');
	END IF;
EXCEPTION WHEN data_exception THEN
	ok := false; a := NULL; c := NULL; d := NULL; b := NULL; whole := NULL;
END $$;
CREATE TABLE fs_expected AS SELECT _offset, value, (fs_read(value)).* FROM fs_raw;
CREATE TABLE fs_found AS SELECT * FROM fs;
-- a message that cannot be read, or of which only a value cannot be
SELECT count(*) > 10000 AS many, count(*) FILTER (WHERE e.ok) > 5000 AS valid, count(*) FILTER (WHERE NOT e.ok) > 1000 AS invalid,
	count(*) FILTER (WHERE e.ok <> (f._error IS NULL)) AS wrong_errors,
	count(*) FILTER (WHERE e.ok AND (f.a, f.c::text, f.d, f.b::text, f.whole::text, f.none) IS DISTINCT FROM (e.a, e.c, e.d, e.b, e.whole, NULL)) AS wrong_values
	FROM fs_expected e FULL JOIN fs_found f USING (_offset);
SELECT value, e.ok, f._error, f.a, f.c, f.d, f.b FROM fs_expected e FULL JOIN fs_found f USING (_offset)
	WHERE e.ok <> (f._error IS NULL) OR (e.ok AND (f.a, f.c::text, f.d, f.b::text, f.whole::text, f.none) IS DISTINCT FROM (e.a, e.c, e.d, e.b, e.whole, NULL))
	ORDER BY _offset LIMIT 10;

SET client_min_messages = warning;
DROP SERVER fs CASCADE;
