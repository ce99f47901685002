-- The tables and queries of adjust/kafka_fdw.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER aj FOREIGN DATA WRAPPER kafka_fdw OPTIONS (brokers :'brokers', delivery 'immediate');
CREATE USER MAPPING FOR PUBLIC SERVER aj;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
\pset null '(null)'

--
-- csv by position
--
SELECT kafka.create_topic('aj', 'aj_csv', 4);
CREATE FOREIGN TABLE aj_csv (
	part int OPTIONS (partition 'true'),
	offs bigint OPTIONS (offset 'true'),
	some_int int,
	some_text text,
	some_date date,
	some_time timestamp)
	SERVER aj OPTIONS (format 'csv', topic 'aj_csv', batch_size '30', buffer_delay '100', num_partitions '4');
-- the partition is the target, the offset is ignored
INSERT INTO aj_csv (part, offs, some_int, some_text, some_date, some_time)
	SELECT p, 1000000, n, 'text, ' || n, date '2017-01-01' + n, timestamp '2017-01-01 00:00:00.5' + n * interval '1 hour'
	FROM generate_series(0, 2) p, generate_series(0, 1999) n;
INSERT INTO aj_csv (part, some_int) VALUES (4, -2);
INSERT INTO aj_csv (part, some_int) VALUES (3, -3) RETURNING part, offs, some_int;
CREATE TABLE aj_local AS SELECT * FROM aj_csv;
SELECT count(*) FROM aj_local WHERE part IN (0, 1, 2) AND some_int = offs AND some_text = 'text, ' || offs;
-- its ways of asking give the rows that they give in a table
SELECT count(*), min(offs), max(offs) FROM (SELECT * FROM aj_csv WHERE part = 0 AND offs > 1000 LIMIT 60) q;
CREATE FUNCTION aj_differs(condition text) RETURNS TABLE ("rows" bigint, missing bigint, extra bigint) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT (SELECT count(*) FROM aj_csv WHERE %1$s),
		(SELECT count(*) FROM (SELECT * FROM aj_local WHERE %1$s EXCEPT ALL SELECT * FROM aj_csv WHERE %1$s) m),
		(SELECT count(*) FROM (SELECT * FROM aj_csv WHERE %1$s EXCEPT ALL SELECT * FROM aj_local WHERE %1$s) e)', condition);
END $$;
SELECT condition, d.* FROM (VALUES
	('part = 0 AND offs > 1000'),
	('part = 0 AND offs > 1000 AND offs < 1010'),
	('(part = 0 AND offs > 1990) OR (part = 1 AND offs < 5) OR (part = 2 AND offs BETWEEN 100 AND 109)'),
	('(part = 0 AND offs > 1990) OR some_int = 7'),
	('(part = 0 AND offs = 1) OR (part = 0 AND offs = 1) OR (part = 0 AND offs <= 1)'),
	('(part, offs) IN ((0, 1), (1, 2), (2, 3), (7, 7))'),
	('(part, offs) = (0, 5)'),
	('(part, offs) > (1, 1500)'),
	('(part, offs) <= (0, 10)'),
	('part IN (0, 2) AND offs IN (5, 500, 50000)'),
	('part = ANY (ARRAY[1, 2]) AND offs = ANY (ARRAY[1, 2]::bigint[])'),
	('part < 2 AND offs >= 1999'),
	('part <= 300000000 AND offs < 1'),
	('part > 3'),
	('part = 0 AND part = 1'),
	('NOT (part = 0 OR offs > 3)'),
	('part IS NULL'),
	('offs > (SELECT 1995) AND part = (SELECT 1)'),
	('part = 0 AND offs > 5 AND some_int < 9')) c(condition), aj_differs(condition) d;
SELECT l.part, (SELECT count(*) FROM aj_csv c WHERE c.part = l.part AND c.offs >= 1998 - l.part) FROM generate_series(0, 2) l(part) ORDER BY 1;
-- no partition lets the partitioner choose
INSERT INTO aj_csv (some_int, some_text) VALUES (-1, 'anywhere'), (-1, 'anywhere'), (-1, NULL);
SELECT count(*), count(part), count(offs) FROM aj_csv WHERE some_int = -1;

--
-- Short and long rows, junk
--
SELECT kafka.create_topic('aj', 'aj_junk');
CREATE FOREIGN TABLE aj_raw (value bytea) SERVER aj OPTIONS (topic 'aj_junk', format 'raw');
INSERT INTO aj_raw VALUES ('1,a,2017-01-01'), ('2,b'), ('3,c,2017-01-03,extra'), ('four,d,2017-01-04'), ('five,e,never'), ('6,"f'), (NULL), ('\x372cff'), ('8,h,2017-01-08');
CREATE FOREIGN TABLE aj_plain (i int, t text, d date, offs bigint OPTIONS (offset 'true')) SERVER aj OPTIONS (format 'csv', topic 'aj_junk');
CREATE FOREIGN TABLE aj_strict (i int, t text, d date, offs bigint OPTIONS (offset 'true')) SERVER aj OPTIONS (format 'csv', topic 'aj_junk', strict 'true');
CREATE FOREIGN TABLE aj_ignore (i int, t text, d date, offs bigint OPTIONS (offset 'true')) SERVER aj OPTIONS (format 'csv', topic 'aj_junk', ignore_junk 'true');
CREATE FOREIGN TABLE aj_junk (i int, t text, d date, offs bigint OPTIONS (offset 'true'), junk bytea OPTIONS (junk 'true'), junk_error text OPTIONS (junk_error 'true'))
	SERVER aj OPTIONS (format 'csv', topic 'aj_junk');
CREATE FOREIGN TABLE aj_junk_text (i int, t text, d date, offs bigint OPTIONS (offset 'true'), junk text OPTIONS (junk 'true'))
	SERVER aj OPTIONS (format 'csv', topic 'aj_junk', strict 'true');
SELECT * FROM aj_plain WHERE offs < 3 ORDER BY offs;
SELECT * FROM aj_plain WHERE offs = 3;
SELECT * FROM aj_strict WHERE offs = 0;
SELECT * FROM aj_strict WHERE offs = 1;
SELECT * FROM aj_strict WHERE offs = 2;
SELECT * FROM aj_ignore ORDER BY offs;
SELECT i, t, d, offs, convert_from(junk, 'LATIN1') AS junk, junk_error FROM aj_junk ORDER BY offs;
SELECT offs FROM aj_junk WHERE junk IS NOT NULL ORDER BY 1;
SELECT i, t, d, offs, junk FROM aj_junk_text WHERE offs < 6 ORDER BY offs;
-- they are not written
INSERT INTO aj_junk VALUES (9, 'i', NULL, NULL, 'junk', 'error');
SELECT * FROM aj_junk WHERE offs = 9;
-- on_error wins over ignore_junk
CREATE FOREIGN TABLE aj_skip (i int, offs bigint OPTIONS (offset 'true')) SERVER aj OPTIONS (format 'csv', topic 'aj_junk', ignore_junk 'true', on_error 'skip');
SELECT * FROM aj_skip ORDER BY offs;

--
-- csv's options
--
SELECT kafka.create_topic('aj', 'aj_options');
CREATE FOREIGN TABLE aj_options_raw (value bytea, _offset bigint) SERVER aj OPTIONS (topic 'aj_options', format 'raw');
CREATE FOREIGN TABLE aj_options (a text, n text OPTIONS (force_null 'true'), nn text OPTIONS (force_not_null 'true'), either text OPTIONS (force_null 'true', force_not_null 'true'), off text OPTIONS (force_null 'false'))
	SERVER aj OPTIONS (topic 'aj_options', format 'csv', delimiter ';', quote '''', escape '\', "null" '-', encoding 'LATIN1');
INSERT INTO aj_options_raw VALUES (convert_to('-;-;-;-;-', 'LATIN1')), (convert_to($$'-';'-';'-';'-';'-'$$, 'LATIN1')), (convert_to($$é;'a\'b';c;d;e$$, 'LATIN1'));
SELECT * FROM aj_options;
INSERT INTO aj_options VALUES ('é', '-', '-', NULL, 'x');
SELECT convert_from(value, 'LATIN1') FROM aj_options_raw WHERE _offset = 3;
SELECT * FROM aj_options OFFSET 3;

--
-- json by top-level key
--
SELECT kafka.create_topic('aj', 'aj_json');
CREATE FOREIGN TABLE aj_json_raw (value text) SERVER aj OPTIONS (topic 'aj_json', format 'raw');
CREATE FOREIGN TABLE aj_json (
	part int OPTIONS (partition 'true'),
	offs bigint OPTIONS (offset 'true'),
	some_int int OPTIONS (json 'int_val'),
	some_text text OPTIONS (json 'text_val'),
	some_date date OPTIONS (json 'date_val'),
	dotted text OPTIONS (json 'a.b[0]'),
	nested text,
	j jsonb OPTIONS (json 'nested'),
	list int[],
	_error text OPTIONS (json '_error'))
	SERVER aj OPTIONS (format 'json', topic 'aj_json', batch_size '30', buffer_delay '100');
INSERT INTO aj_json_raw VALUES
	('{"int_val": 1, "text_val": "one", "date_val": "2017-01-01", "a.b[0]": "a key", "a": {"b": ["no path"]}, "nested": {"x": [1, null]}, "list": [1, 2], "_error": "a field"}'),
	('{"int_val": "2", "text_val": null}');
SELECT * FROM aj_json ORDER BY offs;
INSERT INTO aj_json (part, some_int) VALUES (0, 3);
ALTER FOREIGN TABLE aj_json DROP j;
INSERT INTO aj_json (part, some_int, some_text, dotted) VALUES (0, 3, 'three', 'x');
SELECT value FROM aj_json_raw OFFSET 2;
SELECT some_int, some_text, dotted FROM aj_json WHERE part = 0 AND offs >= 2;

--
-- What is checked
--
CREATE FOREIGN TABLE aj_t (a int) SERVER aj OPTIONS (topic 't', batch_size 'many');
CREATE FOREIGN TABLE aj_t (a int) SERVER aj OPTIONS (topic 't', buffer_delay '1.5s');
CREATE FOREIGN TABLE aj_t (a int) SERVER aj OPTIONS (topic 't', num_partitions '-1');
CREATE FOREIGN TABLE aj_t (a int) SERVER aj OPTIONS (topic 't', encoding 'klingon');
CREATE FOREIGN TABLE aj_t (a int) SERVER aj OPTIONS (topic 't', ignore_junk 'perhaps');
CREATE FOREIGN TABLE aj_t (a int OPTIONS (partition 'yes please')) SERVER aj OPTIONS (topic 't');
CREATE FOREIGN TABLE aj_t (a int OPTIONS (partition 'true', offset 'true'), b text OPTIONS (force_null 'true'), c int OPTIONS (json 'x', path 'y'), d int OPTIONS (junk 'true')) SERVER aj OPTIONS (topic 't', batch_size '1', "batch.size" '1000');
SELECT * FROM aj_t;
ALTER FOREIGN TABLE aj_t ALTER a OPTIONS (SET offset 'false');
SELECT * FROM aj_t;
ALTER FOREIGN TABLE aj_t DROP b;
SELECT * FROM aj_t;
ALTER FOREIGN TABLE aj_t DROP c;
SELECT * FROM aj_t;

SET client_min_messages = warning;
DROP SERVER aj CASCADE;
DROP TABLE aj_local;
DROP FUNCTION aj_differs;
