-- Format json: messages to rows, and rows to messages.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER fj FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
\pset null '(null)'

--
-- Fields: missing, null, empty, twice
--
SELECT kafka.create_topic('fj', 'fj_fields');
CREATE FOREIGN TABLE fj_fields_raw (value text) SERVER fj OPTIONS (topic 'fj_fields', format 'raw');
INSERT INTO fj_fields_raw VALUES
	('{"a": 1, "b": "one", "c": {"x": [1, "y"]}}'),
	('{"c":[1,2,{"z":null}],"b":"other order","a":2}'),
	('{"a": 3}'),
	('{"a": null, "b": null, "c": null}'),
	('{}'),
	('{"b": ""}'),
	('{"a": 1, "b": "first", "a": 7, "b": "last", "c": 1, "c": 2}'),
	('{"a": 1, "b": "null wins", "a": null, "c": "x"}'),
	(E' \t\r\n{ "a" \n:\t 9 , "b"\r:"spaces" , "unknown" : [ { } , [ ] ] }\r\n'),
	('{"A": 1, "B": "case counts"}'),
	('{"b": true, "c": false}'),
	('{"b": -1.50e+3, "c": "s\u00e9\n"}'),
	('{"b": {"k" : [1, 2]}, "c": "\"quoted\""}'),
	(NULL),
	('null');
CREATE FOREIGN TABLE fj_fields (a int, b text, c jsonb, _offset bigint)
	SERVER fj OPTIONS (topic 'fj_fields');
SELECT * FROM fj_fields ORDER BY _offset;
-- any set of columns, in any order
CREATE FOREIGN TABLE fj_some (_offset bigint, c json, none text, a numeric)
	SERVER fj OPTIONS (topic 'fj_fields');
SELECT * FROM fj_some ORDER BY _offset;
SELECT none, _offset FROM fj_some WHERE a = 7;
SELECT count(*) FROM fj_some;
-- the same field more than once
CREATE FOREIGN TABLE fj_twice (a int, again text OPTIONS (path 'a'), whole json OPTIONS (path '@'), root jsonb OPTIONS (path '$'))
	SERVER fj OPTIONS (topic 'fj_fields');
SELECT * FROM fj_twice WHERE a IN (3, 7);

--
-- Paths, and names that need quotes
--
SELECT kafka.create_topic('fj', 'fj_paths');
CREATE FOREIGN TABLE fj_paths_raw (value text) SERVER fj OPTIONS (topic 'fj_paths', format 'raw');
INSERT INTO fj_paths_raw VALUES
	($${"a": {"b": [{"c": "deep", "d": 1}, {"c": "second"}]}, "x.y": "point", "we \"ird\" [0]\\": "odd", "": "empty key",
		"Größe": 42, "日本": "jp", "two words": "2w", "a.b": "not a path", "m": [[1, 2], [3, [4, 5]]], "$": "dollar", "$.x": "dollar x", "@": "at", "0": "zero"}$$),
	($${"a": {"b": [{"c": null}]}, "x": {"y": "not the point"}, "Gr\u00f6\u00dfe": 43, "\u65e5\u672c": "escaped", "m": [[], [1]]}$$),
	($${"a": {"b": {"c": "no array"}}, "m": {"0": "no array"}}$$),
	($${"a": [{"b": "no object"}], "m": 3}$$),
	($${"a": "scalar", "m": []}$$),
	($${"a": {"b": [{"c": "first"}]}, "a": {"b": [{"d": "c is forgotten"}]}}$$),
	($${"a": {"b": [{"c": "first"}]}, "a": null}$$);
CREATE FOREIGN TABLE fj_paths (
	c text OPTIONS (path 'a.b[0].c'),
	c1 text OPTIONS (path '$.a.b[1].c'),
	b json OPTIONS (path 'a.b'),
	"x.y" text,
	xy text OPTIONS (path 'x.y'),
	quoted text OPTIONS (path '"x.y"'),
	odd text OPTIONS (path '"we \"ird\" [0]\\"'),
	"Größe" int,
	"日本" text,
	"two words" text,
	"a.b" text,
	m11 text OPTIONS (path 'm[1][1]'),
	m110 int OPTIONS (path 'm[1][1][0]'),
	m0 int[] OPTIONS (path 'm[0]'),
	"$" text,
	"$.x" text,
	"@" text,
	zero text OPTIONS (path '0'),
	empty text OPTIONS (path '""')
) SERVER fj OPTIONS (topic 'fj_paths');
\x on
SELECT * FROM fj_paths LIMIT 1;
\x off
SELECT c, c1, b, "x.y", xy, "Größe", "日本" FROM fj_paths;
-- what does not have the path's shape is missing
CREATE FOREIGN TABLE fj_shape (c text OPTIONS (path 'a.b[0].c'), m text OPTIONS (path 'm'), m0 text OPTIONS (path 'm[0]'), "0" text OPTIONS (path 'm."0"'))
	SERVER fj OPTIONS (topic 'fj_paths');
SELECT * FROM fj_shape;

-- malformed paths
CREATE FOREIGN TABLE fj_malformed (a text OPTIONS (path 'a')) SERVER fj OPTIONS (topic 'fj_paths');
CREATE FUNCTION fj_malformed(path text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	EXECUTE format('ALTER FOREIGN TABLE fj_malformed ALTER a OPTIONS (SET path %L)', path);
	PERFORM count(a) FROM fj_malformed;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' / ', SQLSTATE, message, detail);
END $$;
SELECT path, fj_malformed(path) FROM unnest(ARRAY['', '.', '.a', 'a.', 'a..b', 'a[', 'a[]', 'a[x]', 'a[-1]', 'a[1', 'a[1]b',
	'a]', 'a[1234567890]', 'a[999999999]', 'a[1].', '"a', '"a"b', 'a"b"', 'a."b', '"a\', '$', '$.', '$x', '$[0]', '$.a', '@.a', '@[0].a', '@a',
	'a b', ' a', '"a"[0]."b"', 'é[', 'a.$', 'a[*]']) WITH ORDINALITY paths(path, n) ORDER BY n;

--
-- Rows of an array
--
SELECT kafka.create_topic('fj', 'fj_rows');
CREATE FOREIGN TABLE fj_rows_raw (value text) SERVER fj OPTIONS (topic 'fj_rows', format 'raw');
INSERT INTO fj_rows_raw VALUES
	('{"at": 1540219230, "data": {"stations": [{"id": "1", "n": 3, "pos": [59.9, 10.7]}, {"n": 4, "id": "2"}, {"id": "3"}]}, "ttl": 10}'),
	('{"data": {"ttl": 1, "stations": [{"id": "4", "n": null}], "note": "after"}, "ttl": 11, "at": 1540219260.5}'),
	('{"data": {"stations": []}, "at": 1540219290}'),
	(NULL),
	('{"data": {"stations": [null, {}, {"id": "5", "at": 1, "data": {"note": "in the element"}}]}, "ttl": 12}'),
	('{"data": {"stations": [{"id": "x"}]}, "ttl": 1, "data": {"stations": [{"id": "6"}, {"id": "7"}]}}');
CREATE FOREIGN TABLE fj_rows (
	id text,
	n int,
	lat float8 OPTIONS (path 'pos[0]'),
	whole json OPTIONS (path '@'),
	at timestamptz OPTIONS (path '$.at', epoch 's'),
	ttl int OPTIONS (path '$.ttl'),
	note text OPTIONS (path '$.data.note'),
	_offset bigint
) SERVER fj OPTIONS (topic 'fj_rows', rows 'data.stations');
SELECT * FROM fj_rows;
-- the rows are counted whatever is asked for
SELECT count(*) FROM fj_rows;
SELECT count(ttl), sum(ttl), max(_offset) FROM fj_rows;
SELECT _offset, count(*) FROM fj_rows GROUP BY 1 ORDER BY 1;
SELECT id FROM fj_rows WHERE _offset = 5;

-- the message itself is the array, elements are anything, arrays in arrays
SELECT kafka.create_topic('fj', 'fj_array');
CREATE FOREIGN TABLE fj_array_raw (value text) SERVER fj OPTIONS (topic 'fj_array', format 'raw');
INSERT INTO fj_array_raw VALUES ('[{"a": [{"b": 1}, {"b": 2}]}, {"a": []}, {"a": null}]'), ('[1, "two", null, [3], {"four": 4}]'), ('[]');
CREATE FOREIGN TABLE fj_array (value jsonb OPTIONS (path '@'), as_text text OPTIONS (path '@'), _offset bigint) SERVER fj OPTIONS (topic 'fj_array', rows '$');
SELECT * FROM fj_array;
CREATE FOREIGN TABLE fj_array_deep (b int, _offset bigint) SERVER fj OPTIONS (topic 'fj_array', rows '[0].a');
SELECT * FROM fj_array_deep WHERE _offset = 0;
-- an element is to be an object where columns are fields of it; a message is to have the array
CREATE FOREIGN TABLE fj_array_fields (a json, _offset bigint) SERVER fj OPTIONS (topic 'fj_array', rows '$');
SELECT * FROM fj_array_fields WHERE _offset = 0;
SELECT * FROM fj_array_fields WHERE _offset = 1;
SELECT * FROM fj_array_deep WHERE _offset = 1;
SELECT * FROM fj_array_deep WHERE _offset = 2;
CREATE FOREIGN TABLE fj_array_none (a json, _offset bigint) SERVER fj OPTIONS (topic 'fj_array', rows '[2].a');
SELECT * FROM fj_array_none WHERE _offset = 0;
-- refused combinations
CREATE FOREIGN TABLE fj_refused (a int) SERVER fj OPTIONS (topic 'fj_array', format 'csv', rows 'a');
CREATE FOREIGN TABLE fj_refused (a int) SERVER fj OPTIONS (topic 'fj_array', format 'raw', rows 'a');
CREATE FOREIGN TABLE fj_refused (a int OPTIONS (path '$.data.stations[0].id')) SERVER fj OPTIONS (topic 'fj_rows', rows 'data.stations');
SELECT * FROM fj_refused;
DROP FOREIGN TABLE fj_refused;
CREATE FOREIGN TABLE fj_refused (a int OPTIONS (epoch 's')) SERVER fj OPTIONS (topic 'fj_rows');
SELECT * FROM fj_refused;
DROP FOREIGN TABLE fj_refused;
CREATE FOREIGN TABLE fj_refused (a int OPTIONS (path 'a', metadata 'key')) SERVER fj OPTIONS (topic 'fj_rows');
SELECT * FROM fj_refused;
DROP FOREIGN TABLE IF EXISTS fj_refused;
INSERT INTO fj_rows (id) VALUES ('1');

--
-- Numbers since 1970
--
SELECT kafka.create_topic('fj', 'fj_epoch');
CREATE FOREIGN TABLE fj_epoch_raw (value text) SERVER fj OPTIONS (topic 'fj_epoch', format 'raw');
INSERT INTO fj_epoch_raw SELECT format('{"t": %s}', t) FROM unnest(ARRAY['0', '-1', '1540219230', '1540219230.25', '1540219230.1234567', '1540219230.9999999',
	'"1540219230"', '1.5402192305e9', '-0.000001', '1e-7', '5e-7', '"infinity"', '"-infinity"', '1540219230123', '1540219230123456', 'null',
	'9224318015999', '9224318016000', '-210866803200', '-210866803201', '9223372036854775807', '1e300', '123456789012345678901234567890',
	'"2018-10-22"', 'true', '""', '"1 "', '"NaN"', '{}', '"0x10"']) WITH ORDINALITY n(t, i) ORDER BY i;
CREATE FOREIGN TABLE fj_epoch_s (j json OPTIONS (path 't'), t timestamptz OPTIONS (epoch 's'), _offset bigint) SERVER fj OPTIONS (topic 'fj_epoch');
CREATE FOREIGN TABLE fj_epoch_ms (j json OPTIONS (path 't'), t timestamp OPTIONS (epoch 'ms'), _offset bigint) SERVER fj OPTIONS (topic 'fj_epoch');
CREATE FOREIGN TABLE fj_epoch_us (j json OPTIONS (path 't'), t timestamptz(3) OPTIONS (epoch 'us'), _offset bigint) SERVER fj OPTIONS (topic 'fj_epoch');
CREATE FUNCTION fj_value(relation regclass, "column" text, n bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	value text;
BEGIN
	EXECUTE format('SELECT %I::text FROM %s WHERE _offset = %s', "column", relation, n) INTO value;
	RETURN value;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT j, fj_value('fj_epoch_s', 't', _offset) AS s, fj_value('fj_epoch_ms', 't', _offset) AS ms, fj_value('fj_epoch_us', 't', _offset) AS us
	FROM fj_epoch_s ORDER BY _offset;

--
-- Types
--
CREATE TYPE fj_color AS ENUM ('red', 'light blue');
CREATE DOMAIN fj_percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN fj_words AS text[] CHECK (cardinality(VALUE) < 3);
CREATE DOMAIN fj_object AS jsonb CHECK (jsonb_typeof(VALUE) = 'object');
CREATE TYPE fj_pair AS (x int, "the y" text);
SELECT kafka.create_topic('fj', 'fj_types');
CREATE FOREIGN TABLE fj_types_raw (value text) SERVER fj OPTIONS (topic 'fj_types', format 'raw');
CREATE TABLE fj_values (v text, kind text, n bigint GENERATED ALWAYS AS IDENTITY (MINVALUE 0));
INSERT INTO fj_values (kind, v)
	SELECT 'number', unnest(ARRAY['0', '-7', '100', '32768', '2147483648', '-9223372036854775808', '9223372036854775808', '1.0', '1.5', '-0', '12345678901234567890.123456789', '1e400', '"12"', '" 12 "', '"NaN"', '"-Infinity"', '""', 'true', 'null']) UNION ALL
	SELECT 'word', unnest(ARRAY['"t"', 'false', '"red"', '"light blue"', '1', '[]']) UNION ALL
	SELECT 'time', unnest(ARRAY['"2018-10-22"', '"2018-10-22T14:20:30Z"', '"2018-10-22 14:20:30.1234567+02:00"', '"2018-02-29"', '"0044-03-15 BC"', '"infinity"', '"1 day 02:03:04"', '1540219230']) UNION ALL
	SELECT 'other', unnest(ARRAY['"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"', '"\\x00ff"', '"192.168.0.0/24"']) UNION ALL
	SELECT 'array', unnest(ARRAY['[1, 2]', '[[1, 2], [3, 4]]', '[1, null]', '["a", "b,c", null, ""]', '"{1,2}"', '[]', '[[1], 2]', '["x"]', '1', 'null']) UNION ALL
	SELECT 'object', unnest(ARRAY['{"x": 1, "the y": "z"}', '{"x": "one"}', '{"x": null, "more": 2}', '{}', '"(1,z)"', '[{"x": 1}, {"the y": "z"}, null]', 'null']);
INSERT INTO fj_types_raw SELECT format('{"v": %s}', v) FROM fj_values ORDER BY n;
CREATE FOREIGN TABLE fj_types (
	j json OPTIONS (path 'v'), jb jsonb OPTIONS (path 'v'), t text OPTIONS (path 'v'), v3 varchar(3) OPTIONS (path 'v'),
	i2 int2 OPTIONS (path 'v'), i4 int OPTIONS (path 'v'), i8 bigint OPTIONS (path 'v'), n numeric OPTIONS (path 'v'), n52 numeric(5,2) OPTIONS (path 'v'),
	f4 float4 OPTIONS (path 'v'), f8 float8 OPTIONS (path 'v'), b bool OPTIONS (path 'v'),
	d date OPTIONS (path 'v'), ts timestamp OPTIONS (path 'v'), tz timestamptz OPTIONS (path 'v'), iv interval OPTIONS (path 'v'),
	u uuid OPTIONS (path 'v'), ba bytea OPTIONS (path 'v'), net inet OPTIONS (path 'v'),
	color fj_color OPTIONS (path 'v'), percent fj_percent OPTIONS (path 'v'), words fj_words OPTIONS (path 'v'), object fj_object OPTIONS (path 'v'),
	ints int[] OPTIONS (path 'v'), texts text[] OPTIONS (path 'v'), pair fj_pair OPTIONS (path 'v'), pairs fj_pair[] OPTIONS (path 'v'),
	_offset bigint
) SERVER fj OPTIONS (topic 'fj_types');
-- these take anything
SELECT j, left(jb::text, 40) AS jb, t FROM fj_types ORDER BY _offset;
-- the others take what their input functions and json_populate_record() take
\pset format unaligned
\pset fieldsep ' | '
\pset null 'NULL'
SELECT attname || ' (' || format_type(atttypid, atttypmod) || ')' AS "column", v AS json, left(fj_value('fj_types', attname, n), 100) AS value
	FROM (VALUES ('word,other', '{v3,b,color}'), ('number', '{i2,i4,i8,n,n52,f4,f8,percent}'), ('time', '{d,ts,tz,iv}'), ('other', '{u,ba,net}'),
		('array', '{words,ints,texts}'), ('object', '{object,pair,pairs}')) c(kinds, columns),
		fj_values, pg_attribute
	WHERE NOT (v = '"infinity"' AND attname = 'iv')		-- which PostgreSQL 17 has
		AND kind = ANY (string_to_array(kinds, ',')) AND attrelid = 'fj_types'::regclass AND attname = ANY (columns::text[])
	ORDER BY attnum, n;
\pset null '(null)'
\pset format aligned

--
-- Strings: escapes, surrogates
--
SELECT kafka.create_topic('fj', 'fj_strings');
CREATE FOREIGN TABLE fj_strings_raw (value text) SERVER fj OPTIONS (topic 'fj_strings', format 'raw');
INSERT INTO fj_strings_raw SELECT format('{"v": %s, "k\u0065y": "found"}', v) FROM unnest(ARRAY[
	$$"plain"$$, $$""$$, $$"\"\\\/"$$, $$"\b\f\n\r\t"$$, $$"\u0041\u00e9\u20AC"$$, $$"\ud83d\ude00"$$, $$"\uD83D\uDE00!"$$, $$"é € 😀"$$, $$"\u007f\u0080"$$,
	$$"\u0001"$$, $$"ends with \\"$$, $$"\\u0041"$$, $$"'; DROP"$$, $$"\u0000"$$, $$"\ud83d"$$, $$"\ud83dx"$$, $$"\ude00"$$, $$"\ud83d\ud83d"$$]) WITH ORDINALITY n(v, i) ORDER BY i;
CREATE FOREIGN TABLE fj_strings (j json OPTIONS (path 'v'), t text OPTIONS (path 'v'), jb jsonb OPTIONS (path 'v'), arr jsonb OPTIONS (path '@'), key text, _offset bigint)
	SERVER fj OPTIONS (topic 'fj_strings');
SELECT j, encode(convert_to(fj_value('fj_strings', 't', _offset), 'UTF8'), 'escape') AS text, fj_value('fj_strings', 'jb', _offset) AS jsonb, key
	FROM fj_strings ORDER BY _offset;

--
-- strict and NOT NULL
--
CREATE FOREIGN TABLE fj_strict (a int, b text, _offset bigint) SERVER fj OPTIONS (topic 'fj_fields', strict 'true');
SELECT * FROM fj_strict WHERE _offset IN (0, 1);
SELECT * FROM fj_strict WHERE _offset = 2;
SELECT a FROM fj_strict WHERE _offset = 2;
SELECT * FROM fj_strict WHERE _offset = 3;
SELECT * FROM fj_strict WHERE _offset = 13;
CREATE FOREIGN TABLE fj_not_null (a int NOT NULL, b text, _offset bigint) SERVER fj OPTIONS (topic 'fj_fields');
SELECT * FROM fj_not_null WHERE _offset IN (0, 2);
SELECT * FROM fj_not_null WHERE _offset = 3;
SELECT * FROM fj_not_null WHERE _offset = 4;
SELECT * FROM fj_not_null WHERE _offset = 13;
SELECT b FROM fj_not_null WHERE _offset = 4;

--
-- Writing
--
SELECT kafka.create_topic('fj', 'fj_out');
CREATE FOREIGN TABLE fj_out_raw (value text, _offset bigint) SERVER fj OPTIONS (topic 'fj_out', format 'raw');
CREATE FOREIGN TABLE fj_out (
	i2 int2, i4 int, i8 bigint, n numeric, f4 float4, f8 float8, b bool, t text, v varchar(5), c char(3), j json, jb jsonb,
	u uuid, d date, ti time, ttz timetz, ts timestamp, tz timestamptz, iv interval, ba bytea, net inet, bits varbit, r int4range,
	color fj_color, percent fj_percent, words fj_words, object fj_object, ints int[], texts text[], floats float8[], times timestamptz[], pair fj_pair, pairs fj_pair[],
	es timestamptz OPTIONS (epoch 's'), ems timestamp OPTIONS (epoch 'ms'), eus timestamptz OPTIONS (epoch 'us')
) SERVER fj OPTIONS (topic 'fj_out');
CREATE TABLE fj_local AS SELECT * FROM fj_out WITH NO DATA;
INSERT INTO fj_local (i4) VALUES (0);
INSERT INTO fj_local VALUES
	(1, 2, 3, 4.50, 5.25, 6.125, true, 'text', 'vc', 'c', '{"j": [1, 2]}', '{"jb": null}',
	 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2018-10-22', '14:20:30.5', '14:20:30+02', '2018-10-22 14:20:30', '2018-10-22 14:20:30.123456+02', '1 year 2 days -03:04:05.6',
	 '\x00ff', '10.0.0.0/8', '1011', '[1,5)', 'light blue', 50, '{a,b}', '{"o": {}}', '{1,NULL,3}', '{"a b","",NULL,"NULL","{x}","\"\\"}', '{1.5,NaN,-Infinity}', '{2018-10-22 00:00:00+00}',
	 ROW(1, 'y'), ARRAY[ROW(1, NULL), ROW(NULL, '"'), NULL]::fj_pair[], '2018-10-22 14:20:30.000001+00', '2018-10-22 14:20:30.5', '1969-12-31 23:59:59.999999+00'),
	(-32768, -2147483648, -9223372036854775808, 'NaN', 'NaN', 'Infinity', false, '', '', '', '[]', '"s"',
	 '00000000-0000-0000-0000-000000000000', '-infinity', '24:00:00', '00:00:00-15:59', 'infinity', '-infinity', '-178000000 years', '', '::1', '', 'empty',
	 'red', 0, '{}', '{}', '{}', '{}', '{}', '{}', ROW(NULL, NULL), '{}', 'infinity', '-infinity', '294276-12-31 23:59:59.999999+00'),
	(32767, 2147483647, 9223372036854775807, '1e500'::numeric + 0.1, 3.4028235e38, 1.7976931348623157e308, NULL, E'\b\f\n\r\t\x0b\x01\x7f"\\/é€😀 ''', '"\', 'é', '{"keeps": 1,  "space" :2, "keeps": 3}', '1e-10',
	 NULL, '0044-03-15 BC', NULL, NULL, '0044-03-15 00:00:00 BC', '4713-01-01 00:00:00+00 BC', NULL, decode(repeat('00ff', 100), 'hex'), NULL, NULL, '(,)',
	 NULL, NULL, ARRAY['x'], NULL, '{{1,2},{3,4}}', '{{a,b}}', '{-0,4.9e-324}', '{infinity,NULL}', ROW(-1, E'\\"\n,()'), NULL, '4713-01-01 00:00:00+00 BC', '0001-01-01', '2000-01-01 00:00:00+00');
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = 0;
SET timezone = 'Asia/Kathmandu';
INSERT INTO fj_out SELECT * FROM fj_local;
SHOW datestyle;
RESET extra_float_digits;
SET intervalstyle = 'postgres';
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
SELECT value FROM fj_out_raw ORDER BY _offset;
\pset tuples_only off
\pset format aligned
-- identical, which is nothing here
SELECT * FROM (SELECT to_jsonb(l) AS row FROM fj_local l EXCEPT SELECT to_jsonb(o) FROM fj_out o) missing;
SELECT * FROM (SELECT l::text AS row FROM fj_local l EXCEPT SELECT o::text FROM fj_out o) missing;
SELECT count(*) FROM fj_out;

-- paths write nested objects
SELECT kafka.create_topic('fj', 'fj_nested');
CREATE FOREIGN TABLE fj_nested_raw (value text, _offset bigint) SERVER fj OPTIONS (topic 'fj_nested', format 'raw');
CREATE FOREIGN TABLE fj_nested (
	id int OPTIONS (path '$.id'),
	b int OPTIONS (path 'a.b'),
	c text OPTIONS (path 'x."we \"ird\"\\.c"'),
	d json OPTIONS (path 'a."".d'),
	"plain.name" text
) SERVER fj OPTIONS (topic 'fj_nested');
INSERT INTO fj_nested VALUES (1, 2, 'three', '[4]', 'five'), (2, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL), (NULL, NULL, '', NULL, NULL);
SELECT * FROM fj_nested_raw ORDER BY _offset;
SELECT * FROM fj_nested;
CREATE FOREIGN TABLE fj_whole (j jsonb OPTIONS (path '@')) SERVER fj OPTIONS (topic 'fj_nested');
INSERT INTO fj_whole VALUES ('[1, "a"]'), ('"scalar"');
SELECT * FROM fj_nested_raw WHERE _offset >= 4 ORDER BY _offset;
-- what is not one object cannot be written
CREATE FUNCTION fj_refused(columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE fj_refused (%s) SERVER fj OPTIONS (topic ''fj_nested'')', columns);
	INSERT INTO fj_refused DEFAULT VALUES;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' / ', SQLSTATE, SQLERRM, detail);
END $$;
SELECT columns, fj_refused(columns) FROM (VALUES
	('a int OPTIONS (path ''a[0]'')'),
	('a int, b int OPTIONS (path ''a'')'),
	('a json, b int OPTIONS (path ''a.b'')'),
	('a int OPTIONS (path ''x.y''), b json OPTIONS (path ''x'')'),
	('a json OPTIONS (path ''@''), b int'),
	('a int OPTIONS (path ''$.b''), b int')) c(columns);
SELECT count(*) FROM fj_nested_raw;

--
-- Errors
--
SELECT kafka.create_topic('fj', 'fj_errors');
CREATE FOREIGN TABLE fj_errors_raw (value text) SERVER fj OPTIONS (topic 'fj_errors', format 'raw');
CREATE FOREIGN TABLE fj_errors (a int, "b ""c" int[], r text[], _offset bigint) SERVER fj OPTIONS (topic 'fj_errors');
INSERT INTO fj_errors_raw VALUES
	('{"\u0000": 1, "\ud83d": 2, "a": 2, "\u0061b": 3}'),
	('{"\u0061": 3}'),
	('{"b \"c": 1}'),
	('{"a": "' || repeat('x', 100000) || '"}'),
	('{"a": "' || repeat('é', 100000));
-- an escape in a key that no column has is no error
SELECT a FROM fj_errors WHERE _offset < 2 ORDER BY _offset;
-- the column is named
SELECT "b ""c" FROM fj_errors WHERE _offset = 2;
-- what errors repeat of a message is cut
SELECT a FROM fj_errors WHERE _offset = 3;
\set VERBOSITY terse
SELECT a FROM fj_errors WHERE _offset = 4;
\set VERBOSITY default

--
-- Names of objects do not depend on search_path
--
SELECT kafka.create_topic('fj', 'fj_names');
CREATE FOREIGN TABLE fj_names_raw (value text, _offset bigint) SERVER fj OPTIONS (topic 'fj_names', format 'raw');
CREATE FOREIGN TABLE fj_names (c regclass, t regtype[], _offset bigint) SERVER fj OPTIONS (topic 'fj_names');
CREATE SCHEMA fj_schema;
CREATE TABLE fj_schema.fj_table (a int);
SET search_path = fj_schema, public;
INSERT INTO fj_names VALUES ('fj_table', '{fj_table,int}');
SHOW search_path;
RESET search_path;
SELECT value FROM fj_names_raw;
SELECT * FROM fj_names;

SET client_min_messages = warning;
DROP SERVER fj CASCADE;
DROP SCHEMA fj_schema CASCADE;
DROP TABLE fj_local, fj_values;
DROP FUNCTION fj_malformed, fj_value, fj_refused;
DROP TYPE fj_pair, fj_object, fj_words, fj_percent, fj_color;
