-- Bad messages: each is an error that names topic, partition, offset and column,
-- and nothing else suffers from it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER bad FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
\pset null '(null)'
\pset format unaligned
\pset fieldsep ' | '

-- the rows of a query as JSON, or its error: SQLSTATE, message, detail, context
CREATE FUNCTION bad_try(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	rows text;
	detail text;
	context text;
BEGIN
	EXECUTE 'SELECT string_agg(to_json(q)::text, '' '') FROM (' || query || ') q' INTO rows;
	RETURN coalesce(rows, 'no row');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, context = PG_EXCEPTION_CONTEXT;
	SELECT string_agg(left(line, 120), ' / ' ORDER BY n) INTO context
		FROM regexp_split_to_table(context, E'\n') WITH ORDINALITY lines(line, n)
		WHERE line !~ '^(PL/pgSQL function|SQL statement) ';
	RETURN concat_ws(' / ', 'ERROR ' || SQLSTATE, left(SQLERRM, 200), NULLIF(detail, ''), context);
END $$;
-- UTF-8 bytes of a text
CREATE FUNCTION bad_utf8(text) RETURNS bytea LANGUAGE sql RETURN convert_to($1, 'UTF8');

--
-- json
--
SELECT kafka.create_topic('bad', 'bad_json');
CREATE FOREIGN TABLE bad_json_raw (value bytea, _offset bigint) SERVER bad OPTIONS (topic 'bad_json', format 'raw');
CREATE FOREIGN TABLE bad_json (a int, t text, j jsonb, _offset bigint) SERVER bad OPTIONS (topic 'bad_json');
CREATE FOREIGN TABLE bad_json_strict (a int, t text, _offset bigint) SERVER bad OPTIONS (topic 'bad_json', strict 'true');
CREATE FOREIGN TABLE bad_json_not_null (a int NOT NULL, t text, _offset bigint) SERVER bad OPTIONS (topic 'bad_json');
CREATE FOREIGN TABLE bad_json_rows (a int, root int OPTIONS (path '$.root'), _offset bigint) SERVER bad OPTIONS (topic 'bad_json', rows 'rows');
CREATE TABLE bad_case (name text, value bytea, n bigint GENERATED ALWAYS AS IDENTITY (MINVALUE 0));
INSERT INTO bad_case VALUES
	('good', '{"a": 1, "t": "x", "j": []}'),
	('tombstone', NULL),
	('empty', ''),
	('spaces', E' \t\n'),
	('cut in an object', '{"a": 1, "t": "x"'),
	('cut in a string', '{"a": 1, "t": "x'),
	('cut in a key', '{"a'),
	('cut after a colon', '{"a":'),
	('cut in a word', '{"a": tru'),
	('cut in an escape', bad_utf8('{"t": "\')),
	('cut in a \u', bad_utf8('{"t": "\u00')),
	('no JSON', 'hello'),
	('csv', '1,x'),
	('two objects', '{"a": 1}{"a": 2}'),
	('two lines', E'{"a": 1}\n{"a": 2}'),
	('trailing garbage', '{"a": 1} x'),
	('trailing comma', '{"a": 1,}'),
	('trailing comma in an array', '{"a": 1, "j": [1,]}'),
	('comma missing', '{"a": 1 "t": "x"}'),
	('colon missing', '{"a" 1}'),
	('single quotes', '{''a'': 1}'),
	('bare key', '{a: 1}'),
	('comment', '{"a": 1 /* one */}'),
	('wrong bracket', '{"a": [1}'),
	('leading zero', '{"a": 01}'),
	('leading plus', '{"a": +1}'),
	('no digits', '{"a": 1.}'),
	('no exponent', '{"a": 1e}'),
	('hexadecimal', '{"a": 0x10}'),
	('NaN', '{"a": NaN}'),
	('Infinity', '{"a": -Infinity}'),
	('true with capitals', '{"a": True}'),
	('unknown escape', bad_utf8('{"t": "\x41"}')),
	('newline in a string', E'{"t": "a\nb"}'),
	('byte order mark', '\xefbbbf7b7d'),
	('an array', '[{"a": 1}]'),
	('a number', '1'),
	('a string', '"a"'),
	('null', 'null'),
	('missing field', '{"t": "x"}'),
	('null field', '{"a": null, "t": null}'),
	('string for a number', '{"a": "one"}'),
	('object for a number', '{"a": {"b": 1}}'),
	('boolean for a number', '{"a": true}'),
	('fraction for an integer', '{"a": 1.5}'),
	('overflow', '{"a": 2147483648}'),
	('more overflow', '{"a": 123456789012345678901234567890}'),
	('1e400', '{"a": 1e400}'),
	('a bad value nobody asks for', '{"a": "bad", "t": "good"}'),
	('invalid UTF-8', '\x7b2274223a2022ff227d'),
	('cut UTF-8', '\x7b2274223a2022c3227d'),
	('overlong UTF-8', '\x7b2274223a2022c0af227d'),
	('UTF-8 surrogate', '\x7b2274223a2022eda080227d'),
	('beyond Unicode', '\x7b2274223a2022f4908080227d'),
	('invalid UTF-8 in a key', '\x7b22ff223a20317d'),
	('Latin-1', '\x7b2274223a2022e9227d'),
	('UTF-16', '\xfffe7b007d00'),
	('NUL byte', '\x7b2274223a20226100227d'),
	('NUL byte at the end', '\x7b7d00'),
	('\u0000', bad_utf8('{"t": "a\u0000b", "j": 1}')),
	('\u0000 in jsonb', bad_utf8('{"j": {"x": ["\u0000"]}}')),
	('\u0000 in another field', bad_utf8('{"a": 1, "unknown": "\u0000"}')),
	('high surrogate', bad_utf8('{"t": "\ud83d"}')),
	('low surrogate', bad_utf8('{"t": "\ude00"}')),
	('surrogate in jsonb', bad_utf8('{"j": ["\ud83d\u0041"]}')),
	('bad rows', '{"rows": [{"a": 1}, {"a": "x"}, {"a": 3}], "root": 1}'),
	('rows that are no objects', '{"rows": [{"a": 1}, 2], "root": 1}'),
	('rows that are no array', '{"rows": {"a": 1}}'),
	('bad root', '{"rows": [{"a": 1}, {"a": 2}], "root": "x"}'),
	('broken after rows', '{"rows": [{"a": 1}, {"a": 2}], "root": 1'),
	('good again', '{"a": 2, "t": "y", "rows": [{"a": 3}]}');
INSERT INTO bad_json_raw (value) SELECT value FROM bad_case ORDER BY n;
SELECT n, name, bad_try('SELECT a, t, j FROM bad_json WHERE _offset = ' || n) AS answer FROM bad_case ORDER BY n;
-- what cannot be NULL, or missing
SELECT n, name, bad_try('SELECT a, t FROM bad_json_strict WHERE _offset = ' || n) AS strict,
	bad_try('SELECT a, t FROM bad_json_not_null WHERE _offset = ' || n) AS "not null"
	FROM bad_case WHERE name IN ('good', 'tombstone', 'empty', 'null', 'missing field', 'null field', 'good again') ORDER BY n;
-- rows of an array
SELECT n, name, bad_try('SELECT a, root FROM bad_json_rows WHERE _offset = ' || n) AS answer
	FROM bad_case WHERE name ~ 'rows|root|good|tombstone|null' ORDER BY n;
-- what is not asked for is not converted, but the message is to be JSON
SELECT n, name, bad_try('SELECT t FROM bad_json WHERE _offset = ' || n) AS t, bad_try('SELECT count(*) FROM bad_json WHERE _offset = ' || n) AS count
	FROM bad_case WHERE name IN ('good', 'a bad value nobody asks for', '\u0000', '1e400', 'cut in an object', 'NUL byte') ORDER BY n;
-- a condition leaves bad messages out
SELECT a, _offset FROM bad_json WHERE _offset IN (0, 39, 70);
SELECT a, _offset FROM bad_json WHERE _offset < 4 AND _offset <> 2 AND _offset <> 3;
SELECT count(*), sum(a) FROM bad_json WHERE NOT (_offset BETWEEN 2 AND 37 OR _offset BETWEEN 41 AND 64 AND _offset <> 61 OR _offset = 69);
-- an error without any function around it; nothing of the whole scan is lost by it
SELECT a FROM bad_json;
SELECT count(*) FROM bad_json_raw;
BEGIN;
DECLARE bad_cursor CURSOR FOR SELECT a FROM bad_json;
FETCH 2 FROM bad_cursor;
SAVEPOINT s;
FETCH 1 FROM bad_cursor;
ROLLBACK TO s;
SELECT a FROM bad_json WHERE _offset = 0;
COMMIT;

-- deep ones
CREATE FOREIGN TABLE bad_deep (_key text, j jsonb, t text, _offset bigint) SERVER bad OPTIONS (topic 'bad_deep');
CREATE FOREIGN TABLE bad_deep_raw (_key text, value text) SERVER bad OPTIONS (topic 'bad_deep', format 'raw');
SELECT kafka.create_topic('bad', 'bad_deep');
INSERT INTO bad_deep_raw VALUES
	('1000 arrays', '{"j": ' || repeat('[', 1000) || repeat(']', 1000) || '}'),
	('100000 arrays', '{"j": ' || repeat('[', 100000) || repeat(']', 100000) || '}'),
	('100000 objects', '{"j": ' || repeat('{"a":', 100000) || '1' || repeat('}', 100000) || '}'),
	('100000 arrays without an end', '{"j": ' || repeat('[', 100000)),
	('good', '{"j": 1}');
SELECT _offset, CASE WHEN answer ~ ('^ERROR (54001|22P02) .* topic "bad_deep", partition 0, offset ' || _offset) THEN 'error' ELSE answer END AS answer
	FROM generate_series(0, 4) _offset, bad_try('SELECT length(j::text) FROM bad_deep WHERE _offset = ' || _offset) answer;
SELECT _key, j FROM bad_deep WHERE _offset = 4;

--
-- csv and text
--
SELECT kafka.create_topic('bad', 'bad_csv');
CREATE FOREIGN TABLE bad_csv_raw (value bytea, _offset bigint) SERVER bad OPTIONS (topic 'bad_csv', format 'raw');
CREATE FOREIGN TABLE bad_csv (a int, t text, f float8, _offset bigint) SERVER bad OPTIONS (topic 'bad_csv', format 'csv');
CREATE FOREIGN TABLE bad_csv_strict (a int, t text, f float8, _offset bigint) SERVER bad OPTIONS (topic 'bad_csv', format 'csv', strict 'true');
CREATE FOREIGN TABLE bad_csv_not_null (a int, t text NOT NULL, f float8, _offset bigint) SERVER bad OPTIONS (topic 'bad_csv', format 'csv');
CREATE FOREIGN TABLE bad_text (a int, t text, f float8, _offset bigint) SERVER bad OPTIONS (topic 'bad_csv', format 'text', delimiter ',', null '');
TRUNCATE bad_case RESTART IDENTITY;
INSERT INTO bad_case VALUES
	('good', '1,x,1.5'), ('tombstone', NULL), ('empty', ''), ('short', '2,x'), ('long', '3,x,1,more'), ('not a number', 'one,x,1'), ('empty in quotes', '"",x,1'),
	('overflow', '2147483648,x,1'), ('1e400', '4,x,1e400'), ('NaN', '5,x,NaN'), ('JSON', '{"a": 1}'), ('unterminated', '6,"x'), ('unterminated over lines', E'7,"x\n8,y,1'), ('the second line', E'9,x,1\nten,x,1'),
	('invalid UTF-8', '\x312cff2c31'), ('cut UTF-8', '\x312ce282'), ('NUL byte', '\x312c612c31002c'), ('NUL escaped', bad_utf8('1,\000,1')), ('half a character escaped', bad_utf8('1,\xe2\x82,1')),
	('carriage return', E'1,a\rb,1'), ('UTF-16', '\xfffe31002c00'), ('good again', '10,y,2');
INSERT INTO bad_csv_raw (value) SELECT value FROM bad_case ORDER BY n;
SELECT n, name, bad_try('SELECT a, t, f FROM bad_csv WHERE _offset = ' || n) AS csv, bad_try('SELECT a, t, f FROM bad_text WHERE _offset = ' || n) AS text FROM bad_case ORDER BY n;
SELECT n, name, bad_try('SELECT a, t, f FROM bad_csv_strict WHERE _offset = ' || n) AS strict, bad_try('SELECT a, t, f FROM bad_csv_not_null WHERE _offset = ' || n) AS "not null"
	FROM bad_case WHERE name IN ('good', 'tombstone', 'empty', 'short', 'long', 'good again') ORDER BY n;

--
-- raw, and metadata
--
SELECT kafka.create_topic('bad', 'bad_raw', 2, config => '{"message.timestamp.after.max.ms": 9223372036854775807}');
CREATE FOREIGN TABLE bad_raw_bytes (_partition int, _key bytea, value bytea, _headers kafka.header[], _timestamp timestamptz) SERVER bad OPTIONS (topic 'bad_raw', format 'raw');
INSERT INTO bad_raw_bytes VALUES
	(1, 'k', '{}', ARRAY[ROW('h', 'v')]::kafka.header[], '2018-10-22 14:20:30+00'),
	(1, '\xff', '\xff', ARRAY[ROW('h', '\xff')]::kafka.header[], '2018-10-22 14:20:30+00'),
	(1, '\x6b00', '\x7600', ARRAY[ROW('h', '\x00')]::kafka.header[], '2018-10-22 14:20:30+00'),
	(1, '', '', ARRAY[ROW('', '')]::kafka.header[], '2018-10-22 14:20:30+00'),
	(1, NULL, NULL, '{}', '2018-10-22 14:20:30+00'),
	(1, '{"a": 1', '[1', ARRAY[ROW('h', NULL)]::kafka.header[], '2018-10-22 14:20:30+00'),
	(1, bad_utf8('"\u0000"'), bad_utf8('"\ud83d"'), '{}', '2018-10-22 14:20:30+00'),
	(1, 'much longer than ten', 'x', '{}', '294276-12-31 23:59:59.999+00'),
	(1, 'k', '{}', '{}', '1970-01-01 00:00:00.001+00');
CREATE FOREIGN TABLE bad_raw (_offset bigint, _partition int, value text, _key text, _value text, _headers jsonb, _timestamp timestamptz,
	"key as json" jsonb OPTIONS (metadata 'key'), "key of ten" varchar(10) OPTIONS (metadata 'key'), "key not null" bytea OPTIONS (metadata 'key') NOT NULL, "value as json" json OPTIONS (metadata 'value'))
	SERVER bad OPTIONS (topic 'bad_raw', format 'raw');
SELECT n, attname AS "column", bad_try(format('SELECT %I AS "column" FROM bad_raw WHERE _partition = 1 AND _offset = %s', attname, n)) AS answer
	FROM generate_series(0, 8) n, pg_attribute WHERE attrelid = 'bad_raw'::regclass AND attnum > 2 ORDER BY attnum, n;
-- a message that is bad in one part is good in the others
SELECT _offset, length(value) FROM bad_raw WHERE _partition = 1 AND _offset = 0;
SELECT _offset, _timestamp FROM bad_raw WHERE _partition = 1 ORDER BY 1;

SET client_min_messages = warning;
DROP SERVER bad CASCADE;
DROP TABLE bad_case;
DROP FUNCTION bad_try, bad_utf8;
