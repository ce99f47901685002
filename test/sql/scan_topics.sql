-- Foreign tables of several topics.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER tops FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SELECT kafka.create_topic('tops', 'tops_a', 2);
SELECT kafka.create_topic('tops', 'tops_b', 1);
SELECT kafka.create_topic('tops', 'tops_c', 3);
SELECT kafka.create_topic('tops', '__tops_d', 1);
CREATE FOREIGN TABLE tops (a int, _topic text, _partition int, _offset bigint)
	SERVER tops OPTIONS (topic 'tops_c, tops_a,tops_b,tops_a');
CREATE FOREIGN TABLE tops_all (a int, _topic text, _partition int, _offset bigint)
	SERVER tops OPTIONS (topic '^tops_[abc]$');

-- a row says where it goes
INSERT INTO tops (a, _topic) VALUES (1, 'tops_b') RETURNING *;
INSERT INTO tops (a, _topic, _partition)
	SELECT i, 'tops_' || substr('abc', i % 3 + 1, 1), 0 FROM generate_series(2, 30) i;
INSERT INTO tops_all (a, _topic, _partition) VALUES (31, 'tops_c', 2);
INSERT INTO tops (a) VALUES (0);
INSERT INTO tops (a, _topic) VALUES (0, NULL);
INSERT INTO tops (a, _topic) VALUES (0, 'tops_d');
INSERT INTO tops_all (a, _topic) VALUES (0, 'tops_d');
INSERT INTO tops_all (a, _topic) VALUES (0, 'tops_ab');

SELECT _topic, count(*), sum(a), min(_offset), max(_offset) FROM tops GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM ((TABLE tops EXCEPT TABLE tops_all) UNION ALL (TABLE tops_all EXCEPT TABLE tops)) x;
SELECT count(*), sum(a) FROM tops_all;

-- a list: each has to exist; a pattern finds what there is, without Kafka's own
CREATE FOREIGN TABLE tops_missing (a int) SERVER tops OPTIONS (topic 'tops_a,tops_missing');
SELECT * FROM tops_missing;
CREATE FOREIGN TABLE tops_none (a int, _topic text) SERVER tops OPTIONS (topic '^nothing_like_it');
SELECT count(*) FROM tops_none;
SELECT * FROM tops_none;
ANALYZE tops_none;
CREATE FOREIGN TABLE tops_own (a int, _topic text) SERVER tops OPTIONS (topic '^.*tops_d$');
CREATE FOREIGN TABLE tops_named (a int, _topic text) SERVER tops OPTIONS (topic '^__tops_d$');
SELECT partition FROM kafka.produce_now('tops', '__tops_d', '{"a": 1}');
SELECT * FROM tops_own;
SELECT * FROM tops_named;
-- more topics than are asked for one by one
SELECT kafka.create_topic('tops', 'tops_x' || i) FROM generate_series(1, 6) i;
CREATE FOREIGN TABLE tops_many (a int, _topic text, _offset bigint)
	SERVER tops OPTIONS (topic '^tops_x', delivery 'immediate');
INSERT INTO tops_many SELECT i, 'tops_x' || i FROM generate_series(1, 6) i;
SELECT * FROM tops_many ORDER BY a;
SELECT kafka.delete_topic('tops', 'tops_x3');
SELECT string_agg(_topic, ' ' ORDER BY _topic) FROM tops_many;

SELECT * FROM kafka.kafka_get_watermarks('tops');

-- push-down
EXPLAIN (COSTS OFF) SELECT * FROM tops WHERE _topic = 'tops_a' AND _partition = 0;
EXPLAIN (COSTS OFF) SELECT * FROM tops WHERE _topic IN ('tops_a', 'tops_b') AND _offset < 3;
EXPLAIN (COSTS OFF) SELECT * FROM tops WHERE _topic <> 'tops_b';
EXPLAIN (COSTS OFF) SELECT * FROM tops WHERE _topic LIKE 'tops\_a%';
EXPLAIN (COSTS OFF) SELECT * FROM tops WHERE _topic LIKE 'tops_a';
EXPLAIN (COSTS OFF) SELECT * FROM tops WHERE _topic > 'tops_a';
CREATE FUNCTION tops_read(query text) RETURNS TABLE (partitions int, messages int) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, FORMAT json) ' || query INTO plan;
	plan := plan -> 0 -> 'Plan';
	RETURN QUERY SELECT (plan ->> 'Kafka Partitions')::int, (plan ->> 'Kafka Messages')::int;
END $$;
SELECT * FROM tops_read('SELECT * FROM tops');
SELECT * FROM tops_read('SELECT * FROM tops WHERE _topic = ''tops_b''');
SELECT * FROM tops_read('SELECT * FROM tops WHERE _topic LIKE ''tops\_a%''');
SELECT * FROM tops_read('SELECT * FROM tops WHERE _topic LIKE ''tops_a%''');
SELECT * FROM tops_read('SELECT * FROM tops WHERE _topic = ANY (''{tops_c,other}'') OR _topic = ''tops_b'' AND _offset = 2');
-- a topic that nobody asks for is not asked for
SELECT count(*) FROM tops_missing;
CREATE FOREIGN TABLE tops_missing2 (a int, _topic text) SERVER tops OPTIONS (topic 'tops_a,tops_missing');
SELECT count(*) FROM tops_missing2 WHERE _topic = 'tops_a';
-- equality may be another, where the server is built with ICU
DO $$
BEGIN
	CREATE COLLATION tops_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE FOREIGN TABLE tops_ci (a int, _topic text COLLATE tops_ci) SERVER tops OPTIONS (topic 'tops_a,tops_b');
EXCEPTION WHEN feature_not_supported THEN
	CREATE VIEW tops_ci AS SELECT upper(_topic) AS _topic FROM tops;
END $$;
SELECT count(*) FROM tops_ci WHERE _topic = 'TOPS_B';

-- rescans with another topic
SELECT t, (SELECT count(*) FROM tops WHERE _topic = t) FROM unnest('{tops_a,tops_b,tops_c,x}'::text[]) t;
SELECT v.t, count(*) FROM (VALUES ('tops_a'), ('tops_b')) v(t) JOIN tops s ON s._topic = v.t GROUP BY 1 ORDER BY 1;

-- REPEATABLE READ: a topic is the same in every table
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM tops WHERE _topic = 'tops_b';
SELECT count(*) FROM tops_many;
INSERT INTO tops (a, _topic) VALUES (40, 'tops_b'), (41, 'tops_a');
SELECT kafka.create_topic('tops', 'tops_x7');
SELECT count(*) FROM tops WHERE _topic = 'tops_b';
SELECT count(*) FROM tops_all WHERE _topic IN ('tops_a', 'tops_b');
SELECT count(*) FROM tops_many;
COMMIT;
SELECT count(*) FROM tops_all;

-- ANALYZE
ANALYZE tops;
SELECT reltuples FROM pg_class WHERE relname = 'tops';
SELECT n_distinct FROM pg_stats WHERE tablename = 'tops' AND attname = '_topic';

SET client_min_messages = warning;
SELECT kafka.delete_topic('tops', t.topic) FROM kafka.topics('tops') t WHERE topic ~ '^(__)?tops_';
DROP SERVER tops CASCADE;
DROP FUNCTION tops_read;
DROP COLLATION IF EXISTS tops_ci;
