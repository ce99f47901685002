-- The option on_error: messages that cannot be converted are an error, are
-- skipped, or have NULL.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER oe FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
\pset null '(null)'
-- a plan without what differs from run to run
CREATE FUNCTION oe_explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query
	LOOP
		IF line ~ 'Kafka (Messages|Rows)' THEN
			RETURN NEXT trim(line);
		END IF;
	END LOOP;
END $$;

--
-- json
--
SELECT kafka.create_topic('oe', 'oe_json');
CREATE FOREIGN TABLE oe_raw (_key text, value text) SERVER oe OPTIONS (topic 'oe_json', format 'raw');
CREATE DOMAIN oe_even AS int CHECK (VALUE % 2 = 0);
INSERT INTO oe_raw VALUES
	('good', '{"a": 1, "b": "2026-01-01", "c": [1], "d": 2}'),
	('a', '{"a": "one", "b": "2026-01-02"}'),
	('a and b', '{"a": "one", "b": "never", "c": [2], "d": 2}'),
	('all', '{"a": "one", "b": "never", "c": {}, "d": 3}'),
	('cut', '{"a": 1, "b": "2026'),
	('tombstone', NULL),
	('array', '[1]'),
	('', '{"a": 2}'),
	('deep', '{"c": ' || repeat('[', 100000)),
	('good', '{"a": 3, "b": "2026-01-03"}');
CREATE FOREIGN TABLE oe_error (a int, b date, c int[], d oe_even, _offset bigint) SERVER oe OPTIONS (topic 'oe_json', on_error 'error');
CREATE FOREIGN TABLE oe_skip (a int, b date, c int[], d oe_even, _offset bigint) SERVER oe OPTIONS (topic 'oe_json', on_error 'skip');
CREATE FOREIGN TABLE oe_null (a int, b date, c int[], d oe_even, _offset bigint, _error text) SERVER oe OPTIONS (topic 'oe_json', on_error 'null');
SELECT * FROM oe_error;
SELECT * FROM oe_skip ORDER BY _offset;
SELECT a, b, c, d, _offset, CASE WHEN _error ~ 'stack depth' THEN 'stack depth' ELSE _error END AS _error FROM oe_null ORDER BY _offset;
-- only what is asked for is converted
SELECT b FROM oe_skip WHERE _offset BETWEEN 0 AND 3 ORDER BY _offset;
SELECT a FROM oe_null WHERE _offset = 2;
SELECT count(*) FROM oe_skip;
-- but an error column wants to know of all
SELECT _offset FROM oe_null WHERE _error IS NOT NULL ORDER BY 1;
-- nothing bad, nothing to say
SELECT a FROM oe_skip WHERE _offset IN (0, 9);
SELECT a FROM oe_skip LIMIT 1;
-- EXPLAIN
SET client_min_messages = error;
SELECT * FROM oe_explain('SELECT a FROM oe_skip');
SELECT * FROM oe_explain('SELECT a FROM oe_skip WHERE _offset = 0');
SELECT * FROM oe_explain('SELECT a FROM oe_error WHERE _offset = 0');
-- rescans
SELECT n, (SELECT sum(a) FROM oe_skip WHERE _offset >= n) FROM generate_series(0, 2) n;
RESET client_min_messages;
-- a cursor and savepoints; what is caught leaves the transaction as it is
BEGIN;
DECLARE oe_cursor CURSOR FOR SELECT a, _offset FROM oe_null;
SAVEPOINT s;
FETCH 2 FROM oe_cursor;
SELECT * FROM oe_error;
ROLLBACK TO s;
FETCH 2 FROM oe_cursor;
COMMIT;
-- a parallel plan above it
CREATE TABLE oe_local AS SELECT generate_series(1, 1000) AS a;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT count(l.a), count(n.a) FROM (SELECT count(*) AS a FROM oe_local WHERE a > 10) l CROSS JOIN oe_null n;
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
-- a NULL that is not allowed remains an error, and is skipped with skip
ALTER FOREIGN TABLE oe_null ALTER a SET NOT NULL;
ALTER FOREIGN TABLE oe_skip ALTER a SET NOT NULL;
SELECT a FROM oe_null WHERE _offset < 2;
SELECT a FROM oe_null WHERE _offset = 5;
SELECT a FROM oe_skip WHERE _offset IN (0, 1, 2, 5);
ALTER FOREIGN TABLE oe_null ALTER a DROP NOT NULL;
ALTER FOREIGN TABLE oe_skip ALTER a DROP NOT NULL;
-- other errors are not caught
CREATE FUNCTION oe_cancel(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN IF $1 = 3 THEN RAISE EXCEPTION 'canceled' USING ERRCODE = '57014'; END IF; RETURN true; END $$;
CREATE FUNCTION oe_raise(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN IF $1 = 3 THEN RAISE EXCEPTION 'raised'; END IF; RETURN true; END $$;
CREATE DOMAIN oe_not_now AS int CHECK (oe_cancel(VALUE));
CREATE DOMAIN oe_raises AS int CHECK (oe_raise(VALUE));
ALTER FOREIGN TABLE oe_skip ALTER a TYPE oe_not_now;
\set VERBOSITY terse
SELECT a FROM oe_skip WHERE _offset IN (0, 9);
\set VERBOSITY default
ALTER FOREIGN TABLE oe_skip ALTER a TYPE oe_raises;
SELECT a FROM oe_skip WHERE _offset IN (0, 9);
-- the key and headers
CREATE FOREIGN TABLE oe_key (a int, k json OPTIONS (metadata 'key'), n int OPTIONS (source 'key'), _offset bigint, _error text) SERVER oe OPTIONS (topic 'oe_json', key_format 'json', on_error 'null');
SELECT a, k, n, _error FROM oe_key WHERE _offset < 2 ORDER BY _offset;
SELECT a, n, _error FROM oe_key WHERE _offset = 7;

--
-- rows
--
SELECT kafka.create_topic('oe', 'oe_rows');
CREATE FOREIGN TABLE oe_rows_raw (value text) SERVER oe OPTIONS (topic 'oe_rows', format 'raw');
INSERT INTO oe_rows_raw VALUES
	('{"r": [{"a": 1}, {"a": "x"}, {"a": 3}], "root": 1}'),
	('{"r": [{"a": 4}, 5], "root": 2}'),
	('{"r": {}, "root": 3}'),
	('{"r": [{"a": 6}, {"a": 7}], "root": "x"}'),
	(NULL),
	('{"r": [], "root": 4}'),
	('{"r": [{"a": 8}]}');
CREATE FOREIGN TABLE oe_rows_skip (a int, root int OPTIONS (path '$.root'), _offset bigint, _ordinality int) SERVER oe OPTIONS (topic 'oe_rows', rows 'r', on_error 'skip');
CREATE FOREIGN TABLE oe_rows_null (a int, root int OPTIONS (path '$.root'), _offset bigint, _ordinality int, _error text) SERVER oe OPTIONS (topic 'oe_rows', rows 'r', on_error 'null');
SELECT * FROM oe_rows_skip ORDER BY _offset, _ordinality;
SELECT * FROM oe_rows_null ORDER BY _offset, _ordinality;
-- strict
ALTER FOREIGN TABLE oe_rows_null OPTIONS (ADD strict 'true');
SELECT * FROM oe_rows_null WHERE _offset IN (4, 6) ORDER BY _offset, _ordinality;

--
-- csv and raw
--
SELECT kafka.create_topic('oe', 'oe_csv');
CREATE FOREIGN TABLE oe_csv_raw (value bytea) SERVER oe OPTIONS (topic 'oe_csv', format 'raw');
INSERT INTO oe_csv_raw VALUES
	('1,x'), (E'2,x\ntwo,y\n3,z\n'), (E'4,x\n5,"y\n6,z'), (E'"7,x'), ('eight'), ('\xff2c78'), (E'9,x,extra\n10\n11,y'), ('12,"x"');
CREATE FOREIGN TABLE oe_csv_skip (a int, b text, _offset bigint, _ordinality int) SERVER oe OPTIONS (topic 'oe_csv', format 'csv', on_error 'skip');
CREATE FOREIGN TABLE oe_csv_null (a int, b text, _offset bigint, _ordinality int, _error text) SERVER oe OPTIONS (topic 'oe_csv', format 'csv', on_error 'null');
SELECT * FROM oe_csv_skip ORDER BY _offset, _ordinality;
SELECT * FROM oe_csv_null ORDER BY _offset, _ordinality;
ALTER FOREIGN TABLE oe_csv_null OPTIONS (ADD strict 'true');
SELECT * FROM oe_csv_null WHERE _offset IN (0, 2, 6) ORDER BY _offset, _ordinality;
CREATE FOREIGN TABLE oe_int (value int, _offset bigint, _error text) SERVER oe OPTIONS (topic 'oe_csv', format 'raw', on_error 'null');
SELECT * FROM oe_int WHERE _offset IN (0, 5) ORDER BY _offset;

--
-- Many messages: more than are decoded at once, good ones between bad ones
--
SELECT kafka.create_topic('oe', 'oe_many');
CREATE FOREIGN TABLE oe_many_raw (value text) SERVER oe OPTIONS (topic 'oe_many', format 'raw');
INSERT INTO oe_many_raw SELECT CASE WHEN n % 7 = 0 THEN 'bad' ELSE '{"n": ' || n || ', "t": "' || repeat('x', n % 50) || '"}' END FROM generate_series(1, 5000) n;
CREATE FOREIGN TABLE oe_many_skip (n int, t text, _offset bigint) SERVER oe OPTIONS (topic 'oe_many', on_error 'skip');
CREATE FOREIGN TABLE oe_many_null (n int, t text, _offset bigint, _error text) SERVER oe OPTIONS (topic 'oe_many', on_error 'null');
SELECT count(*), sum(n), sum(length(t)), count(DISTINCT _offset) FROM oe_many_skip WHERE n IS NOT NULL;
SELECT count(*), sum(n), sum(length(t)), count(DISTINCT _offset), count(_error) FROM oe_many_null;
SELECT count(*), sum(n) FROM generate_series(1, 5000) n WHERE n % 7 <> 0;
SELECT n FROM oe_many_skip WHERE _offset IN (0, 6, 10, 4998) OR _offset BETWEEN 1000 AND 1004 ORDER BY n;

SET client_min_messages = warning;
DROP SERVER oe CASCADE;
DROP DOMAIN oe_even, oe_not_now, oe_raises;
DROP FUNCTION oe_cancel, oe_raise, oe_explain;
DROP TABLE oe_local;
