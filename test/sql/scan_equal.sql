-- Pushed down or not, in one process or several, the rows are those of a local table.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
SET timezone = 'UTC';
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER eq FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SELECT kafka.create_topic('eq', 'eq_a', 3);
SELECT kafka.create_topic('eq', 'eq_b', 1);
SELECT kafka.create_topic('eq', 'eq_c', 1, config => '{"message.timestamp.type": "LogAppendTime"}');
CREATE FOREIGN TABLE eq (a int, _topic text, _partition int, _offset bigint, _timestamp timestamptz, _key text)
	SERVER eq OPTIONS (topic 'eq_a,eq_b,eq_c');
INSERT INTO eq (a, _topic, _partition, _timestamp, _key)
	SELECT i, 'eq_' || substr('aaabbc', i % 6 + 1, 1), CASE WHEN i % 6 < 3 THEN i % 6 ELSE 0 END,
		timestamptz '2020-01-01' + i * interval '1.25 s' - (i % 10 = 0)::int * interval '1 min',
		CASE WHEN i % 4 > 0 THEN i::text END
	FROM generate_series(1, 600) i;
CREATE TABLE eq_local AS SELECT * FROM eq;
CREATE TABLE eq_outer AS SELECT i AS x, i % 4 AS p, i * 17 % 120 AS o, 'eq_' || substr('abcd', i % 4 + 1, 1) AS t,
		timestamptz '2020-01-01' + i * interval '9 s' AS ts
	FROM generate_series(0, 30) i;
INSERT INTO eq_outer VALUES (NULL, NULL, NULL, NULL, NULL);
ANALYZE eq_outer;
SELECT count(*), count(DISTINCT (_topic, _partition, _offset)) FROM eq_local;

-- RETURN QUERY, unlike INTO, lets workers take part.
CREATE FUNCTION eq_run(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE query; END $$;
-- The same query of both tables; what differs is told.
CREATE FUNCTION eq_check(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	kafka text;
	local text;
BEGIN
	SELECT r INTO kafka FROM eq_run(replace(query, 'THE_TABLE', 'eq')) r;
	SELECT r INTO local FROM eq_run(replace(query, 'THE_TABLE', 'eq_local')) r;
	RETURN CASE WHEN kafka IS NOT DISTINCT FROM local THEN 'same' ELSE coalesce(kafka, 'NULL') || ' is not ' || coalesce(local, 'NULL') END;
END $$;
CREATE FUNCTION eq_where(condition text) RETURNS text LANGUAGE sql AS $$
	SELECT eq_check('SELECT count(*) || '' '' || coalesce(sum(hashtext(t::text)), 0) FROM THE_TABLE t WHERE ' || condition)
$$;
-- A condition with parameters, as a prepared statement with a generic plan.
CREATE FUNCTION eq_prepared(condition text, arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	results text[];
	result text;
	name text;
BEGIN
	FOREACH name IN ARRAY '{eq,eq_local}'::text[] LOOP
		EXECUTE 'PREPARE eq_p(bigint, bigint, bigint[], text, timestamptz) AS SELECT count(*) || '' '' || coalesce(sum(hashtext(t::text)), 0) FROM '
			|| name || ' t WHERE ' || condition;
		EXECUTE 'EXECUTE eq_p(' || arguments || ')' INTO result;
		DEALLOCATE eq_p;
		results := results || result;
	END LOOP;
	RETURN CASE WHEN results[1] = results[2] THEN 'same' ELSE results[1] || ' is not ' || results[2] END;
END $$;

CREATE TABLE eq_arms (n serial, arm text);
INSERT INTO eq_arms (arm) VALUES
	('_partition = 1'), ('_partition <> 0'), ('_partition BETWEEN 1 AND 2'), ('_partition IN (0, 2, 7)'), ('_partition::text = ''1'''),
	('_offset < 10'), ('_offset >= 95'), ('_offset IN (3, 5, 99, 1000)'), ('_offset = ANY (''{1,2,NULL}'')'), ('_offset <> ALL (''{1,2}'')'),
	('NOT _offset > 90'), ('_offset::int2 = 7::int2'), ('_offset > 42.5'), ('_offset > _partition * 30'), ('_offset = NULL'), ('_offset NOT IN (4, NULL)'),
	('_offset BETWEEN 20 AND 30'), ('_offset BETWEEN SYMMETRIC 30 AND 20'), ('_offset IS NULL'), ('_offset % 3 = 0'),
	('_offset = (SELECT max(_partition) FROM eq_local)'), ('_offset > (SELECT 80)'), ('_offset IN (SELECT o FROM eq_outer)'), ('_offset < (random() * 0)::bigint + 9'),
	('_offset >= current_setting(''server_version_num'')::bigint * 0 + 90'), ('_offset = length(coalesce(_key, ''''))'),
	('(_partition, _offset) IN ((0, 1), (1, 2))'), ('(_partition, _offset) > (1, 38)'), ('(_offset, _partition) <= (2, 1)'), ('(_partition, _offset) = (2, 5)'),
	('_topic = ''eq_a'''), ('_topic <> ''eq_b'''), ('_topic IN (''eq_b'', ''eq_c'', ''x'')'), ('_topic LIKE ''eq\_a%'''), ('_topic NOT LIKE ''%a'''), ('_topic > ''eq_a'''),
	('_topic = ANY (''{eq_c,NULL}'')'), ('_topic <> ALL (''{eq_a,eq_c}'')'), ('(_topic, _offset) IN ((''eq_a'', 3), (''eq_c'', 99))'), ('_topic || '''' = ''eq_b'''),
	('_timestamp >= ''2020-01-01 00:08:00'''), ('_timestamp > ''2020-01-01 00:04:00.0005'''), ('_timestamp < ''2020-01-01 00:03:00'''), ('_timestamp <= ''2020-01-01 00:02:30.25'''),
	('_timestamp BETWEEN ''2020-01-01 00:01:00'' AND ''2020-01-01 00:02:00'''), ('_timestamp = ''2020-01-01 00:00:02.5'''), ('_timestamp <> ''2020-01-01 00:00:02.5'''),
	('_timestamp > now() - interval ''1 day'''), ('_timestamp::date = ''2020-01-01'''), ('_timestamp < ''infinity'''), ('_timestamp IN (''2020-01-01 00:00:02.5'', ''2020-01-01 00:10:00'')'),
	('a % 7 = 0'), ('_key IS NULL'), ('_key LIKE ''%1%'''), ('NOT (_partition = 0 AND _offset < 50)'), ('NOT (_topic = ''eq_a'' OR _offset > 20)'),
	('(_offset = 4 OR _partition = 2) AND (_offset < 50 OR _topic = ''eq_a'')'), ('CASE WHEN _partition = 0 THEN _offset < 5 ELSE _offset > 30 END'),
	('(_offset < 5) IS TRUE'), ('(_offset < 5) IS NOT TRUE'), ('EXISTS (SELECT FROM eq_outer WHERE o = _offset AND p = _partition)'), ('true'), ('NULL::bool');

CREATE VIEW eq_result AS
	SELECT 'alone' AS what, arm AS condition FROM eq_arms
	UNION ALL
	SELECT 'values', format('%s %s %s', c, o, v)
		FROM unnest('{_partition,_offset}'::text[]) c, unnest('{=,<,<=,>,>=,<>}'::text[]) o,
			 unnest('{-1,0,2,99,300000000,9223372036854775807,-9223372036854775808,2.5}'::text[]) v
		WHERE NOT (c = '_partition' AND length(v) > 9)
	UNION ALL
	SELECT 'turned', format('%s %s %s', v, o, c)
		FROM unnest('{_partition,_offset}'::text[]) c, unnest('{=,<,<=,>,>=}'::text[]) o, unnest('{0,99}'::text[]) v
	UNION ALL
	SELECT 'two', format('(%s) %s (%s)', x.arm, (ARRAY['AND', 'OR', 'AND NOT', 'OR NOT'])[(x.n + y.n) % 4 + 1], y.arm)
		FROM eq_arms x, eq_arms y WHERE x.n <> y.n AND (x.n * 13 + y.n * 7) % 17 = 0
	UNION ALL
	SELECT 'three', format('((%s) %s (%s)) %s (%s)', x.arm, (ARRAY['AND', 'OR'])[x.n % 2 + 1], y.arm, (ARRAY['OR', 'AND', 'AND NOT', 'OR NOT'])[y.n % 4 + 1], z.arm)
		FROM eq_arms x, eq_arms y, eq_arms z WHERE (x.n * 5 + y.n * 11 + z.n * 17) % 1511 = 0 AND (x.n + y.n) % 3 = 0;
SELECT what, count(*) > 15 AS enough, min(condition || ': ' || result) FILTER (WHERE result <> 'same') AS first_wrong
FROM (SELECT what, condition, eq_where(condition) AS result FROM eq_result) x GROUP BY 1 ORDER BY 1;

-- generic plans
SET plan_cache_mode = force_generic_plan;
SELECT count(*), min(condition || '(' || arguments || '): ' || result) FILTER (WHERE result <> 'same') AS first_wrong
FROM (SELECT condition, arguments, eq_prepared(condition, arguments) AS result
	FROM unnest(ARRAY['_offset >= $1 AND _partition = $2', '_offset = ANY ($3) OR _partition = $2 AND _offset < $1', '_topic = $4 AND _offset BETWEEN $1 AND $1 + $2',
					  '_topic <> $4 OR _offset <> ALL ($3)', '_topic LIKE $4 AND _timestamp >= $5', '_timestamp < $5 OR _offset = $1', 'NOT (_offset > $1 AND _timestamp > $5)',
					  '(_partition, _offset) >= ($2, $1)', '_offset < $1::int AND _topic = ANY (ARRAY[$4, ''eq_c''])', '_timestamp BETWEEN $5 AND $5 + interval ''1 min''']) condition,
		 unnest(ARRAY['5, 1, ''{1,50,99}'', ''eq_a'', ''2020-01-01 00:05''', '90, 0, ''{}'', ''eq_b'', ''infinity''', 'NULL, 0, ''{3,NULL}'', NULL, NULL',
					  '-1, 2, NULL, ''eq%'', ''2020-01-01 00:00:30.0001''']) arguments) x;
RESET plan_cache_mode;

-- offsets, topics and times from a local table: joins, lateral and correlated sub-selects
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT count(*), min(query || ': ' || result) FILTER (WHERE result <> 'same') AS first_wrong
FROM (SELECT query, eq_check(query) AS result FROM (
	SELECT format('SELECT count(*) || '' '' || coalesce(sum(hashtext(t::text) # x), 0) FROM eq_outer %s JOIN THE_TABLE t ON %s', j, c) AS query
		FROM unnest('{"",LEFT}'::text[]) j,
			 unnest(ARRAY['_offset = o', '_offset = o AND _partition = p', '_offset BETWEEN o AND o + 3 AND _topic = t', '_topic = t AND _partition = 0', '_timestamp >= ts AND _offset < o',
						  '_offset = ANY (ARRAY[o, x, NULL])', '_offset = o OR _partition = p AND _offset < 3', '_timestamp = ts', 'o = _offset AND _topic <> t', '_offset > o AND a < 30']) c
		WHERE NOT (j = 'LEFT' AND c LIKE '%OR%')
	UNION ALL
	SELECT format('SELECT string_agg(n::text, '' '' ORDER BY x) FROM (SELECT x, (SELECT count(*) FROM THE_TABLE t WHERE %s) AS n FROM eq_outer) y', c)
		FROM unnest(ARRAY['_offset = o', '_offset < o AND _topic = eq_outer.t', '_partition = p AND _timestamp < ts', '_offset IN (o, x) OR _topic = eq_outer.t AND _offset = 1']) c
	UNION ALL
	SELECT format('SELECT string_agg(n::text, '' '' ORDER BY x) FROM eq_outer o, LATERAL (SELECT sum(a) AS n FROM (SELECT a FROM THE_TABLE t WHERE %s ORDER BY a LIMIT 5) z) y', c)
		FROM unnest(ARRAY['_offset >= o.o', '_topic = o.t AND _offset >= o.o']) c) q) x;
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;

-- all of it in several processes
SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
SELECT what, min(condition || ': ' || result) FILTER (WHERE result <> 'same') AS first_wrong
FROM (SELECT what, condition, eq_where(condition) AS result FROM (SELECT *, row_number() OVER () AS n FROM eq_result) r
	WHERE what = 'alone' OR n % 15 = 0) x GROUP BY 1 ORDER BY 1;
RESET min_parallel_table_scan_size; RESET parallel_setup_cost; RESET parallel_tuple_cost;

-- thousands of offsets
SELECT count(*), sum(a) FROM eq WHERE _offset = ANY (ARRAY(SELECT i * 2 FROM generate_series(0, 20000) i));
SELECT count(*), sum(a) FROM eq_local WHERE _offset = ANY (ARRAY(SELECT i * 2 FROM generate_series(0, 20000) i));
SELECT count(*), sum(a) FROM eq WHERE _offset <> ALL (ARRAY(SELECT i * 2 FROM generate_series(0, 20000) i));
SELECT count(*), sum(a) FROM eq_local WHERE _offset <> ALL (ARRAY(SELECT i * 2 FROM generate_series(0, 20000) i));

SET client_min_messages = warning;
SELECT kafka.delete_topic('eq', t) FROM unnest('{eq_a,eq_b,eq_c}'::text[]) t;
DROP SERVER eq CASCADE;
DROP TABLE eq_local, eq_outer, eq_arms CASCADE;
DROP FUNCTION eq_run, eq_check, eq_where, eq_prepared;
