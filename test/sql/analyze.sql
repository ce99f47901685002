-- ANALYZE: statistics from a sample, the number of rows from offsets.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER analyze_broker FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
CREATE FUNCTION analyze_size(name regclass) RETURNS TABLE (reltuples real, pages boolean)
LANGUAGE sql AS 'SELECT reltuples, relpages > 0 FROM pg_class WHERE oid = name';
CREATE FUNCTION analyze_plan(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;

-- a small topic is read as a whole
SELECT kafka.create_topic('analyze_broker', 'analyze_small', 3);
CREATE FOREIGN TABLE analyze_small (gone int, a int, b text, _partition int, _key text, _headers jsonb)
	SERVER analyze_broker OPTIONS (topic 'analyze_small');
ALTER FOREIGN TABLE analyze_small DROP COLUMN gone;
SELECT * FROM analyze_size('analyze_small');
ANALYZE analyze_small;
SELECT * FROM analyze_size('analyze_small');
INSERT INTO analyze_small (a, b, _partition, _key)
	SELECT i, 'row ' || i % 10, CASE WHEN i <= 200 THEN 0 ELSE 2 END, CASE WHEN i % 4 > 0 THEN i::text END
	FROM generate_series(1, 300) i;
ANALYZE analyze_small;
SELECT * FROM analyze_size('analyze_small');
SELECT attname, null_frac, n_distinct, most_common_vals FROM pg_stats WHERE tablename = 'analyze_small' ORDER BY attname;
SELECT analyze_plan('SELECT * FROM analyze_small');
SELECT analyze_plan('SELECT * FROM analyze_small WHERE _partition = 0');
SELECT analyze_plan('SELECT * FROM analyze_small WHERE _partition = 2 AND _key IS NULL');

-- some columns only: the statistics of the others stay
INSERT INTO analyze_small (a, b, _partition) VALUES (1, 'x', 1);
ANALYZE analyze_small (_partition);
SELECT attname, n_distinct FROM pg_stats WHERE tablename = 'analyze_small' AND attname IN ('_partition', 'b') ORDER BY attname;

-- a message of several rows
SELECT kafka.create_topic('analyze_broker', 'analyze_rows');
CREATE FOREIGN TABLE analyze_rows (a int) SERVER analyze_broker OPTIONS (topic 'analyze_rows', rows 'list');
SELECT count(*) FROM generate_series(1, 10) i,
	kafka.produce_now('analyze_broker', 'analyze_rows', '{"list": [{"a": 1}, {"a": 2}, {"a": 3}]}', key => i::text);
ANALYZE analyze_rows;
SELECT * FROM analyze_size('analyze_rows');
CREATE FOREIGN TABLE analyze_lines (a text) SERVER analyze_broker OPTIONS (topic 'analyze_lines', format 'csv');
SELECT kafka.create_topic('analyze_broker', 'analyze_lines');
SELECT count(*) FROM generate_series(1, 10) i,
	kafka.produce_now('analyze_broker', 'analyze_lines', E'1\n2\n', key => i::text);
ANALYZE analyze_lines;
SELECT * FROM analyze_size('analyze_lines');

-- what cannot be read is left out
SELECT kafka.create_topic('analyze_broker', 'analyze_bad');
CREATE FOREIGN TABLE analyze_bad (a int NOT NULL) SERVER analyze_broker OPTIONS (topic 'analyze_bad');
SELECT partition, "offset" FROM kafka.produce_now('analyze_broker', 'analyze_bad', 'not JSON');
SELECT partition, "offset" FROM kafka.produce_now('analyze_broker', 'analyze_bad', '{"a": "seven"}');
ANALYZE analyze_bad;
SELECT * FROM analyze_size('analyze_bad');
INSERT INTO analyze_bad SELECT i FROM generate_series(1, 10) i;
SELECT partition, "offset" FROM kafka.produce_now('analyze_broker', 'analyze_bad', NULL);
ANALYZE analyze_bad;
SELECT * FROM analyze_size('analyze_bad');
SELECT attname, null_frac, n_distinct FROM pg_stats WHERE tablename = 'analyze_bad';
-- a message is left out as a whole
SELECT partition, "offset" FROM kafka.produce_now('analyze_broker', 'analyze_rows', '{"list": [{"a": 1}, {"a": "x"}]}');
ANALYZE analyze_rows;
SELECT * FROM analyze_size('analyze_rows');
-- and with it what its columns have done
CREATE TABLE analyze_log (a int);
CREATE FUNCTION analyze_check(a int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.analyze_log VALUES (a);
	RETURN a / (a - 3) > -10;
END $$;
CREATE DOMAIN analyze_domain AS int CHECK (analyze_check(VALUE));
CREATE FOREIGN TABLE analyze_checked (a analyze_domain) SERVER analyze_broker OPTIONS (topic 'analyze_checked');
SELECT kafka.create_topic('analyze_broker', 'analyze_checked');
SELECT count(*) FROM generate_series(1, 5) i,
	kafka.produce_now('analyze_broker', 'analyze_checked', format('{"a": %s}', i));
ANALYZE analyze_checked;
SELECT * FROM analyze_log;

-- within a transaction, and rolled back
BEGIN;
INSERT INTO analyze_bad VALUES (11);
ANALYZE analyze_bad;
SELECT * FROM analyze_size('analyze_bad');
ROLLBACK;

-- a large topic is read in parts
SELECT kafka.create_topic('analyze_broker', 'analyze_large', 4);
CREATE FOREIGN TABLE analyze_large (a int, b text, _partition int, _offset bigint)
	SERVER analyze_broker OPTIONS (topic 'analyze_large');
INSERT INTO analyze_large (a, b, _partition)
	SELECT i, repeat('x', 100), CASE WHEN i <= 15000 THEN 1 WHEN i < 20000 THEN 2 ELSE 3 END FROM generate_series(1, 20000) i;
SET default_statistics_target = 1;
ANALYZE analyze_large;
RESET default_statistics_target;
SELECT * FROM analyze_size('analyze_large');
SELECT relpages BETWEEN 200 AND 400 AS pages FROM pg_class WHERE relname = 'analyze_large';
SELECT attname, null_frac, avg_width FROM pg_stats WHERE tablename = 'analyze_large' ORDER BY attname;
SELECT analyze_plan('SELECT * FROM analyze_large');
-- rows of a sample are as many as were asked for, from more than one place
SELECT n_distinct < 0 AS distinct, (histogram_bounds::text::int[])[2] - (histogram_bounds::text::int[])[1] > 300 AS spread
	FROM pg_stats WHERE tablename = 'analyze_large' AND attname = 'a';

-- a partition of a partitioned table
CREATE TABLE analyze_parted (_partition int, a int, b text, _offset bigint) PARTITION BY LIST (_partition);
CREATE TABLE analyze_parted_0 PARTITION OF analyze_parted FOR VALUES IN (0);
INSERT INTO analyze_parted SELECT 0, i, 'y' FROM generate_series(1, 100) i;
ALTER TABLE analyze_parted ATTACH PARTITION analyze_large FOR VALUES IN (1, 2, 3);
ANALYZE analyze_parted;
SELECT * FROM analyze_size('analyze_parted');
SELECT attname, inherited, null_frac > 0 AS nulls FROM pg_stats WHERE tablename = 'analyze_parted' ORDER BY attname;

-- without ANALYZE it is what the session has seen
SELECT kafka.create_topic('analyze_broker', 'analyze_seen');
CREATE FOREIGN TABLE analyze_seen (a int, _offset bigint) SERVER analyze_broker OPTIONS (topic 'analyze_seen');
SELECT analyze_plan('SELECT * FROM analyze_seen');
INSERT INTO analyze_seen SELECT generate_series(1, 2345);
SELECT count(*) FROM analyze_seen WHERE _offset < 3;
SELECT analyze_plan('SELECT * FROM analyze_seen');

-- what is refused
CREATE FOREIGN TABLE analyze_none (a int) SERVER analyze_broker OPTIONS (topic 'analyze_none');
ANALYZE analyze_none;

SET client_min_messages = warning;
DROP TABLE analyze_parted, analyze_log;
DROP SERVER analyze_broker CASCADE;
DROP DOMAIN analyze_domain;
DROP FUNCTION analyze_size, analyze_plan, analyze_check;
