-- Scans: what is read, and what is pushed down.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER scan FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SELECT kafka.create_topic('scan', 'scan', 4);
CREATE FOREIGN TABLE scan (a int, b text, _partition int, _offset bigint, _key text)
	SERVER scan OPTIONS (topic 'scan');

-- an empty topic
SELECT * FROM scan;
SELECT count(*) FROM scan;

INSERT INTO scan (a, b, _partition, _key)
	SELECT i, 'row ' || i, i % 3, CASE WHEN i % 2 = 0 THEN i::text END FROM generate_series(1, 300) i;
SELECT count(*), sum(a), min(_offset), max(_offset), count(_key) FROM scan;
SELECT _partition, count(*), min(_offset), max(_offset) FROM scan GROUP BY 1 ORDER BY 1;
-- the order within a partition is the log's
SELECT count(*) FROM (SELECT _offset, lag(_offset) OVER () AS before FROM scan WHERE _partition = 1) s
	WHERE before IS NOT NULL AND _offset <> before + 1;

-- the plan says what is read
EXPLAIN (COSTS OFF) SELECT * FROM scan;
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _partition = 0 AND _offset >= 10 AND _offset < 20;
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE 10 < _offset;
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _offset BETWEEN 3 AND 5 OR _partition IN (1, 2);
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _offset = 7 OR a = 3;
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _offset = 7 AND a = 3;
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _offset > 5 AND _offset < 5;
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _offset = NULL::bigint;
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE NOT (_offset = 7 AND _partition = 0);
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _offset > 10.5;
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _offset > random();
EXPLAIN (COSTS OFF) SELECT * FROM scan WHERE _partition = _offset;
-- and only that is fetched
CREATE FUNCTION scan_read(query text) RETURNS TABLE (ranges text, messages int) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || query INTO plan;
	plan := plan -> 0 -> 'Plan';
	RETURN QUERY SELECT plan ->> 'Kafka Ranges', (plan ->> 'Kafka Messages')::int;
END $$;
SELECT * FROM scan_read('SELECT * FROM scan');
SELECT * FROM scan_read('SELECT * FROM scan WHERE _partition = 0 AND _offset >= 10 AND _offset < 20');
SELECT * FROM scan_read('SELECT * FROM scan WHERE _offset > 5 AND _offset < 5');
SELECT * FROM scan_read('SELECT * FROM scan WHERE _partition <= 300000000 AND _offset >= 98');
SELECT * FROM scan_read('SELECT * FROM scan WHERE _partition = 1 AND (_offset = 0 OR a = 7)');

SELECT * FROM scan_read('SELECT * FROM scan WHERE _partition <> 1 AND _offset NOT IN (50, 51)');
CREATE FUNCTION scan_explain(options text, query text) RETURNS TABLE (key text, value text) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE format('EXPLAIN (ANALYZE, FORMAT json %s) ', options) || query INTO plan;
	RETURN QUERY SELECT j.key, CASE WHEN j.key LIKE '% Time' THEN (j.value::text::float > 0)::text ELSE j.value::text END
		FROM json_each(plan -> 0 -> 'Plan') j WHERE j.key LIKE 'Kafka %';
END $$;
SELECT * FROM scan_explain('', 'SELECT a FROM scan');
SELECT * FROM scan_explain(', VERBOSE, TIMING off', 'SELECT * FROM scan WHERE _partition IN (0, 2) AND _offset BETWEEN 10 AND 19 OR _offset > 1000');

-- what the conditions leave out is not decoded, be it among messages that are read
SELECT kafka.create_topic('scan', 'scan_bad');
CREATE FOREIGN TABLE scan_bad (a int, _offset bigint) SERVER scan OPTIONS (topic 'scan_bad');
INSERT INTO scan_bad VALUES (0), (1);
SELECT partition, "offset" FROM kafka.produce_now('scan', 'scan_bad', 'not JSON');
INSERT INTO scan_bad VALUES (3), (4);
SELECT * FROM scan_bad;
SELECT * FROM scan_bad WHERE _offset <> 2;
SELECT * FROM scan_bad WHERE _offset < 2 OR _offset > 2;
SELECT * FROM scan_bad WHERE _offset NOT IN (2, 3);
SELECT _offset FROM scan_bad;
SELECT count(*) FROM scan_bad;

-- parameters, stable expressions, generic plans
PREPARE scan_p(int, bigint) AS SELECT count(*) FROM scan WHERE _partition = $1 AND _offset >= $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE scan_p(1, 90);
EXECUTE scan_p(NULL, 90);
EXPLAIN (COSTS OFF) EXECUTE scan_p(1, 90);
RESET plan_cache_mode;
SELECT count(*) FROM scan WHERE _offset >= (current_setting('server_version_num')::bigint * 0 + 95);

-- rescans: correlated sub-selects and nested loops
SELECT l.a, (SELECT count(*) FROM scan s WHERE s._partition = l.a AND s._offset < l.a * 10) FROM generate_series(0, 3) l(a);
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT count(*), sum(s.a) FROM (VALUES (1), (5), (2)) v(o) JOIN scan s ON s._offset = v.o;
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;

-- a nested loop asks for what the outer row says, on the connection it has
CREATE TABLE scan_outer AS SELECT i % 3 AS p, i AS o FROM generate_series(0, 90, 30) i;
ANALYZE scan_outer;
CREATE FUNCTION scan_join(query text) RETURNS TABLE (node text, loops int, messages int, ranges text) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || query INTO plan;
	RETURN QUERY WITH RECURSIVE nodes(node) AS (
		SELECT plan -> 0 -> 'Plan'
		UNION ALL
		SELECT json_array_elements(n.node -> 'Plans') FROM nodes n
	) SELECT n.node ->> 'Node Type', (n.node ->> 'Actual Loops')::numeric::int, (n.node ->> 'Kafka Messages')::int, n.node ->> 'Kafka Ranges' FROM nodes n;
END $$;
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT * FROM scan_join('SELECT count(*) FROM scan_outer JOIN scan s ON s._partition = p AND s._offset = o');
SELECT * FROM scan_join('SELECT count(*) FROM scan WHERE _partition = 0 AND _offset = (SELECT 3)');
SELECT s._partition, s._offset, a FROM scan_outer JOIN scan s ON s._partition = p AND s._offset = o ORDER BY 2;
SELECT s.a FROM scan_outer JOIN scan s ON s._partition = p AND s._offset > o + 8 ORDER BY 1 LIMIT 3;

RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;

-- by time: the first message that is not older begins the range
SELECT kafka.create_topic('scan', 'scan_time', 2);
CREATE FOREIGN TABLE scan_time (a int, _timestamp timestamptz, _partition int, _offset bigint)
	SERVER scan OPTIONS (topic 'scan_time');
INSERT INTO scan_time (a, _timestamp, _partition)
	SELECT i, timestamptz '2020-01-01 00:00:00.5+00' + i * interval '1 s', i % 2 FROM generate_series(0, 99) i;
-- out of order
INSERT INTO scan_time (a, _timestamp, _partition) VALUES (100, '2020-01-01 00:00:10+00', 0), (101, '2020-01-01 01:00:00+00', 0);
SET timezone = 'UTC';
EXPLAIN (COSTS OFF) SELECT * FROM scan_time WHERE _timestamp >= '2020-01-01 00:01:30+00' AND _partition = 0;
SELECT * FROM scan_read('SELECT * FROM scan_time WHERE _timestamp >= ''2020-01-01 00:01:30+00''');
SELECT array_agg(a ORDER BY a) FROM scan_time WHERE _timestamp >= '2020-01-01 00:01:35.5+00';
SELECT array_agg(a ORDER BY a) FROM scan_time WHERE _timestamp > '2020-01-01 00:01:35.5+00';
SELECT array_agg(a ORDER BY a) FROM scan_time WHERE _timestamp >= '2020-01-01 00:01:35.500001+00';
SELECT array_agg(a ORDER BY a) FROM scan_time WHERE _timestamp = '2020-01-01 00:00:10+00';
SELECT array_agg(a ORDER BY a) FROM scan_time WHERE _timestamp < '2020-01-01 00:00:01+00';
SELECT count(*) FROM scan_time WHERE _timestamp >= 'infinity';
SELECT count(*) FROM scan_time WHERE _timestamp >= '-infinity';
SELECT count(*) FROM scan_time WHERE _timestamp >= '1960-01-01';
SELECT count(*) FROM scan_time WHERE _timestamp >= '2030-01-01';
SELECT count(*) FROM scan_time WHERE _timestamp >= '2030-01-01' OR _offset = 0;

-- REPEATABLE READ: all scans of a transaction see the same
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM scan_time;
INSERT INTO scan_time (a, _partition) VALUES (102, 0);
SELECT count(*) FROM scan_time;
SAVEPOINT s;
SELECT count(*) / 0 FROM scan_time;
ROLLBACK TO s;
SELECT count(*) FROM scan_time;
COMMIT;
SELECT count(*) FROM scan_time;

-- stopping early, and going back
SELECT count(*) FROM (SELECT * FROM scan LIMIT 10) s;
BEGIN;
DECLARE scan_c SCROLL CURSOR FOR SELECT _offset FROM scan WHERE _partition = 2 AND _offset < 3;
FETCH 2 FROM scan_c;
FETCH FIRST FROM scan_c;
FETCH ALL FROM scan_c;
COMMIT;

-- a row that is written while the scan runs is not in its snapshot
BEGIN;
DECLARE scan_c CURSOR FOR SELECT a FROM scan WHERE _partition IN (0, 3) AND _offset >= 98;
FETCH 1 FROM scan_c;
INSERT INTO scan (a, _partition) VALUES (1000, 0), (1001, 3), (1002, 3);
FETCH ALL FROM scan_c;
COMMIT;
SELECT a, b, _key FROM scan WHERE _offset >= 98 AND _partition = 0;

-- a dropped column before live ones
ALTER FOREIGN TABLE scan DROP COLUMN a;
SELECT b, _partition, _offset FROM scan WHERE _partition = 0 AND _offset = 1;
SELECT scan FROM scan WHERE _partition = 0 AND _offset = 1;
SELECT tableoid::regclass, count(*) FROM scan GROUP BY 1;

-- what is refused
DELETE FROM scan;
UPDATE scan SET b = 'x';
CREATE FOREIGN TABLE scan_none (a int) SERVER scan OPTIONS (topic 'scan_none');
SELECT * FROM scan_none;
CREATE FOREIGN TABLE scan_types (_offset text) SERVER scan OPTIONS (topic 'scan');
SELECT * FROM scan_types;

DROP TABLE scan_outer;
DROP FUNCTION scan_explain, scan_read, scan_join;
DROP SERVER scan CASCADE;
