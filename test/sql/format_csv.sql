-- Formats csv and text: lines as COPY reads and writes them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER fc FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
\pset null '(null)'

--
-- Reading csv
--
SELECT kafka.create_topic('fc', 'fc_csv');
CREATE FOREIGN TABLE fc_csv_raw (value text, _offset bigint) SERVER fc OPTIONS (topic 'fc_csv', format 'raw');
INSERT INTO fc_csv_raw VALUES
	('1,one,x'),
	(E'2,"two, ""quoted""",x\n'),
	(E'3,"line 1\nline 2\r\nline 3",x'),
	(E'4,a,b\n5,c,d\r\n6,e,f\n'),
	('7,,""'),
	('8, spaced , "not a quote'),
	(E'9,"unterminated\n10,x,y'),
	('11,after the unterminated one,'),
	('12,"ab"cd"ef",mid"dle, quote"'),
	('13,short'),
	('14,extra,x,y,z'),
	(''),
	(NULL),
	(E'\n'),
	(E'15,a,b\n\n16,c,d\n\n'),
	(E'17,\\n\\.,\\'),
	(E'\\.'),
	(E'18,bare\rreturn,x'),
	(E'19,return at the end,x\r'),
	(E'"20","é,日本","😀"'),
	('"21'),
	('"22",""""'),
	('23,x,"'),
	(E'24,a,b\nx,c,d\n25,e,f'),
	('a,b,c');
CREATE FOREIGN TABLE fc_csv (a int, b text, c text, _offset bigint) SERVER fc OPTIONS (topic 'fc_csv', format 'csv');
-- one message's rows, or its error
CREATE FUNCTION fc_message(relation regclass, n bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	context text;
BEGIN
	RETURN QUERY EXECUTE format('SELECT (to_jsonb(t) - ''_offset'')::text FROM %s t WHERE _offset = %s', relation, n);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	RETURN NEXT concat_ws(' / ', SQLSTATE, SQLERRM, NULLIF(hint, ''), split_part(context, E'\n', 1));
END $$;
\pset format unaligned
\pset fieldsep ' | '
SELECT _offset AS n, to_json(value) AS message, fc_message('fc_csv', _offset) AS rows FROM fc_csv_raw ORDER BY _offset;
\pset format aligned
-- only the columns that are asked for are converted, but the lines are the same
SELECT c, _offset FROM fc_csv WHERE _offset BETWEEN 7 AND 16;
SELECT c, _offset FROM fc_csv WHERE _offset >= 23;
SELECT _offset, count(*) FROM fc_csv WHERE _offset BETWEEN 7 AND 16 GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM fc_csv WHERE _offset IN (2, 3);
SELECT count(*) FROM fc_csv WHERE _offset = 6;
-- fields are found by the order of the payload columns, metadata columns do not count
CREATE FOREIGN TABLE fc_order (_offset bigint, b text, _partition int, a text, _key text) SERVER fc OPTIONS (topic 'fc_csv', format 'csv');
SELECT * FROM fc_order WHERE _offset < 2;
SELECT * FROM fc_order WHERE _offset = 9;
-- after a dropped column too
CREATE FOREIGN TABLE fc_dropped (x int, a int, b text, _offset bigint) SERVER fc OPTIONS (topic 'fc_csv', format 'csv');
ALTER FOREIGN TABLE fc_dropped DROP COLUMN x;
SELECT * FROM fc_dropped WHERE _offset = 0;

-- strict
CREATE FOREIGN TABLE fc_strict (a text, b text, c text, _offset bigint) SERVER fc OPTIONS (topic 'fc_csv', format 'csv', strict 'true');
SELECT n, fc_message('fc_strict', n) AS rows FROM unnest('{0,3,4,9,10,11,12,13,14}'::int[]) n;
-- NOT NULL
CREATE FOREIGN TABLE fc_not_null (a text, b text NOT NULL, c text, _offset bigint) SERVER fc OPTIONS (topic 'fc_csv', format 'csv');
SELECT n, fc_message('fc_not_null', n) AS rows FROM unnest('{0,4,12,16}'::int[]) n;

--
-- Options
--
SELECT kafka.create_topic('fc', 'fc_options');
CREATE FOREIGN TABLE fc_options_raw (value text, _offset bigint) SERVER fc OPTIONS (topic 'fc_options', format 'raw');
INSERT INTO fc_options_raw VALUES
	('1;''it\''s; \\ quoted'';NULL'),
	('''NULL'';NULL; NULL'),
	('"x";;null'),
	('''\x'';''a''b''c'';\''');
CREATE FOREIGN TABLE fc_options (a text, b text, c text, _offset bigint)
	SERVER fc OPTIONS (topic 'fc_options', format 'csv', delimiter ';', quote '''', escape '\', null 'NULL');
SELECT * FROM fc_options WHERE _offset < 3 ORDER BY _offset;
SELECT fc_message('fc_options', 3);
INSERT INTO fc_options VALUES (NULL, 'NULL', ''), ('a;b', 'it''s', '\'), (E'\n', '"', 'null'), ('\''', ' ', 'é');
SELECT value FROM fc_options_raw WHERE _offset >= 4 ORDER BY _offset;
SELECT * FROM fc_options WHERE _offset >= 4 ORDER BY _offset;
CREATE FUNCTION fc_refused(options text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE fc_refused (a text, b text) SERVER fc OPTIONS (topic ''fc_options'', %s)', options);
	PERFORM count(*) FROM fc_refused WHERE false;
	INSERT INTO fc_refused SELECT 'x', 'y' WHERE false;
	DROP FOREIGN TABLE fc_refused;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT options, fc_refused(options) FROM unnest(ARRAY[
	$$format 'csv', delimiter ';;'$$, $$format 'csv', delimiter ''$$, $$format 'csv', delimiter E'\n'$$, $$format 'csv', delimiter 'é'$$, $$format 'csv', quote ','$$,
	$$format 'csv', delimiter '"'$$, $$format 'csv', null '"'$$, $$format 'csv', null ','$$, $$format 'csv', null E'a\nb'$$, $$format 'csv', null ''$$, $$format 'csv', escape '""'$$,
	$$format 'csv', delimiter E'\t', quote '|', escape ','$$,
	$$format 'text', quote '"'$$, $$format 'text', escape '"'$$, $$format 'text', delimiter '\'$$, $$format 'text', delimiter 'a'$$, $$format 'text', delimiter '.'$$,
	$$format 'text', delimiter 'N'$$, $$format 'text', null ''$$, $$format 'text', delimiter ',', null '-'$$,
	$$delimiter ','$$, $$format 'raw', null 'x'$$, $$format 'json', quote '"'$$, $$format 'CSV'$$, $$format 'tsv'$$]) options;

--
-- Writing csv, and reading it back
--
SELECT kafka.create_topic('fc', 'fc_out');
CREATE FOREIGN TABLE fc_out_raw (value text, _offset bigint) SERVER fc OPTIONS (topic 'fc_out', format 'raw');
CREATE FOREIGN TABLE fc_out (i int, t text, u text, f float8, b bool, ts timestamptz, e timestamptz OPTIONS (epoch 'ms'), a text[], j jsonb, ba bytea, iv interval)
	SERVER fc OPTIONS (topic 'fc_out', format 'csv');
CREATE TABLE fc_local AS SELECT * FROM fc_out WITH NO DATA;
INSERT INTO fc_local VALUES
	(1, 'plain', 'two words', 1.5, true, '2018-10-22 14:20:30.5+00', '2018-10-22 14:20:30.5+00', '{a,"b,c"}', '{"a": [1, "x"]}', '\x00ff', '1 day'),
	(2, '', NULL, 'NaN', false, 'infinity', '-infinity', '{}', '""', '', '-1 year -03:00:00'),
	(3, E'a\nb\r\nc\rd', E'\t', '-Infinity', NULL, '0044-03-15 BC', '1969-12-31 23:59:59.999999+00', '{"",NULL,"\"\\"}', 'null', NULL, NULL),
	(4, '"', '""', 1e-300, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(5, '\N', '\.', 4.9e-324, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(NULL, ' ', 'é日本😀', -0.0, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = 0;
INSERT INTO fc_out SELECT * FROM fc_local;
RESET extra_float_digits;
RESET intervalstyle;
SET datestyle = 'ISO, YMD';
SELECT to_json(value) AS message FROM fc_out_raw ORDER BY _offset;
SELECT * FROM (SELECT l::text AS row FROM fc_local l EXCEPT SELECT o::text FROM fc_out o) missing;
SELECT count(*) FROM fc_out;
-- a column alone; nothing but NULL is a tombstone
SELECT kafka.create_topic('fc', 'fc_one');
CREATE FOREIGN TABLE fc_one_raw (value text, _offset bigint) SERVER fc OPTIONS (topic 'fc_one', format 'raw');
CREATE FOREIGN TABLE fc_one (t text, _offset bigint) SERVER fc OPTIONS (topic 'fc_one', format 'csv');
INSERT INTO fc_one (t) VALUES (''), (NULL), ('\.'), ('x'), (E'\n'), (',');
SELECT to_json(r.value) AS message, to_json(o.t) AS value FROM fc_one_raw r JOIN fc_one o USING (_offset) ORDER BY _offset;

--
-- Format text
--
SELECT kafka.create_topic('fc', 'fc_text');
CREATE FOREIGN TABLE fc_text_raw (value text, _offset bigint) SERVER fc OPTIONS (topic 'fc_text', format 'raw');
INSERT INTO fc_text_raw VALUES
	(E'1\tone\tx'),
	(E'2\t\\N\t\n3\t\\\\N\t\\N\\N'),
	(E'4\ta\\tb\\nc\\rd\\be\\ff\\vg\t\\a\\x\\"'),
	(E'5\t\\101\\x41\\x4\\7\\1012\\x411\t\\xzz\\8'),
	(E'6\t\\xc3\\xa9\\303\\251\té'),
	(E'7\t\\xc3\tinvalid'),
	(E'8\ta\\000b\tnul'),
	(E'9\tline\\\nbreak\tx\n'),
	(E'10\tat the end\tx\\'),
	(E'11\tcarriage\rreturn\tx'),
	(E'12\t"not, quoted"\t''x'''),
	(E'13\tshort'),
	(E'14\ta\tb\textra'),
	(''),
	(NULL),
	(E'15\tafter\tx\r\n16\ta\tb'),
	(E'\\.');
CREATE FOREIGN TABLE fc_text (a text, b text, c text, _offset bigint) SERVER fc OPTIONS (topic 'fc_text', format 'text');
\pset format unaligned
SELECT _offset AS n, to_json(value) AS message, fc_message('fc_text', _offset) AS rows FROM fc_text_raw ORDER BY _offset;
\pset format aligned
SELECT a, c FROM fc_text WHERE _offset = 4;
-- escapes are checked in all fields
SELECT a FROM fc_text WHERE _offset = 5;
-- read back
SELECT kafka.create_topic('fc', 'fc_text_out');
CREATE FOREIGN TABLE fc_text_out_raw (value text, _offset bigint) SERVER fc OPTIONS (topic 'fc_text_out', format 'raw');
CREATE FOREIGN TABLE fc_text_out (i int, t text, u text, a text[], ba bytea) SERVER fc OPTIONS (topic 'fc_text_out', format 'text');
TRUNCATE fc_local;
INSERT INTO fc_local (i, t, u, a, ba) VALUES
	(1, 'plain', '', '{a,"b\\c"}', '\x00'), (2, E'\b\f\n\r\t\x0b\\', NULL, NULL, NULL), (3, '\N', 'N', NULL, NULL), (NULL, '\.', '"', '{NULL}', ''), (5, E'\x01\x7f', 'é日本😀', NULL, NULL);
INSERT INTO fc_text_out SELECT i, t, u, a, ba FROM fc_local;
SELECT to_json(value) AS message FROM fc_text_out_raw ORDER BY _offset;
SELECT i, t, u, a, ba FROM fc_local EXCEPT SELECT * FROM fc_text_out;
SELECT count(*) FROM fc_text_out;
-- another string for NULL, which a value may be too
SELECT kafka.create_topic('fc', 'fc_text_null');
CREATE FOREIGN TABLE fc_text_null_raw (value text, _offset bigint) SERVER fc OPTIONS (topic 'fc_text_null', format 'raw');
CREATE FOREIGN TABLE fc_text_null (a text, b text) SERVER fc OPTIONS (topic 'fc_text_null', format 'text', null 'NULL', delimiter '|');
INSERT INTO fc_text_null VALUES (NULL, 'NULL'), ('', 'a|b'), ('null', 'NULLs');
SELECT value FROM fc_text_null_raw ORDER BY _offset;
SELECT * FROM fc_text_null;
CREATE FOREIGN TABLE fc_text_empty (a text, b text) SERVER fc OPTIONS (topic 'fc_text_null', format 'text', null '');
INSERT INTO fc_text_empty VALUES (NULL, 'x');
INSERT INTO fc_text_empty VALUES ('', 'x');
SELECT count(*) FROM fc_text_null_raw;

SET client_min_messages = warning;
DROP SERVER fc CASCADE;
DROP TABLE fc_local;
DROP FUNCTION fc_message, fc_refused;
