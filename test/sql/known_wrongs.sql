-- What foreign tables for Kafka are known to do wrong, and this one does not.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER kw FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SELECT kafka.create_topic('kw', 'kw', 3);
CREATE FOREIGN TABLE kw (
	part int OPTIONS (metadata 'partition'),
	offs bigint OPTIONS (metadata 'offset'),
	a int,
	b text)
	SERVER kw OPTIONS (topic 'kw', format 'csv');
INSERT INTO kw (part, a, b) SELECT p, n, 'row ' || n FROM generate_series(0, 2) p, generate_series(0, 999) n;
CREATE TABLE kw_local AS SELECT * FROM kw;
-- the messages that a query has read
CREATE FUNCTION kw_messages(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || query INTO plan;
	RETURN (regexp_match(plan::text, '"Kafka Messages": (\d+)'))[1];
END $$;

--
-- An OR with an arm that cannot be pushed down drops rows
--
SELECT count(*) FROM kw WHERE part = 0 AND offs < 10 OR a = 500;
SELECT count(*) FROM kw_local WHERE part = 0 AND offs < 10 OR a = 500;
SELECT count(*) FROM kw WHERE offs = 3 OR b LIKE '%7' OR part = 1 AND a % 2 = 0;
SELECT count(*) FROM kw_local WHERE offs = 3 OR b LIKE '%7' OR part = 1 AND a % 2 = 0;

--
-- A correlated sub-select returns 0
--
SELECT n, (SELECT count(*) FROM kw WHERE part = n AND offs >= 990 + n) AS rows FROM generate_series(0, 3) n;
SELECT n, (SELECT count(*) FROM kw WHERE a = n) AS rows FROM (VALUES (7), (2000), (8)) v(n);

--
-- Dropped columns before live ones take their values
--
CREATE FOREIGN TABLE kw_dropped (gone text, part int OPTIONS (metadata 'partition'), also_gone int, a int, offs bigint OPTIONS (metadata 'offset'), last_gone int, b text)
	SERVER kw OPTIONS (topic 'kw', format 'csv');
ALTER FOREIGN TABLE kw_dropped DROP gone, DROP also_gone, DROP last_gone;
INSERT INTO kw_dropped (part, a, b) VALUES (2, 1000, 'after dropped columns') RETURNING *;
INSERT INTO kw_dropped VALUES (2, 1001, NULL, 'in the order of the table');
SELECT * FROM kw_dropped WHERE part = 2 AND offs >= 999 ORDER BY offs;
SELECT kw_dropped FROM kw_dropped WHERE part = 2 AND offs = 1000;
SELECT b FROM kw_dropped WHERE part = 2 AND offs = 1001;
SELECT * FROM kw WHERE part = 2 AND offs >= 1000 ORDER BY offs;

--
-- A tombstone crashes
--
SELECT kafka.create_topic('kw', 'kw_tombstone');
CREATE FOREIGN TABLE kw_csv (_key text, a int, b text, _value bytea, _headers jsonb) SERVER kw OPTIONS (topic 'kw_tombstone', format 'csv');
CREATE FOREIGN TABLE kw_json (_key text, a int, b text, _value bytea, _headers jsonb) SERVER kw OPTIONS (topic 'kw_tombstone', format 'json');
CREATE FOREIGN TABLE kw_text (_key text, a int, b text, _value bytea, _headers jsonb) SERVER kw OPTIONS (topic 'kw_tombstone', format 'text');
CREATE FOREIGN TABLE kw_raw (_key text, value text, _value bytea, _headers jsonb) SERVER kw OPTIONS (topic 'kw_tombstone', format 'raw');
CREATE FOREIGN TABLE kw_rows (_key text, a int, _value bytea, _headers jsonb) SERVER kw OPTIONS (topic 'kw_tombstone', format 'json', rows 'r');
INSERT INTO kw_raw (_key) VALUES ('tombstone'), (NULL);
SELECT * FROM kw_csv;
SELECT * FROM kw_json;
SELECT * FROM kw_text;
SELECT * FROM kw_raw;
SELECT * FROM kw_rows;
SELECT count(*) FROM kw_csv;

--
-- COPY FROM crashes
--
COPY kw (part, a, b) FROM STDIN (FORMAT csv);
0,2000,copied
1,2001,"copied, too"
\.
COPY kw FROM STDIN (FORMAT csv);
0,,2002,all columns
\.
-- what of it was sent is by chance
SET client_min_messages = error;
COPY kw (part, a, b) FROM STDIN (FORMAT csv);
0,2003,copied
0,no number,not copied
\.
RESET client_min_messages;
SELECT part, a, b FROM kw WHERE a BETWEEN 2000 AND 2002 ORDER BY a;

--
-- IN scans everything
--
SELECT a FROM kw WHERE part IN (0, 2) AND offs IN (3, 500, 900) ORDER BY part, offs;
SELECT kw_messages('SELECT a FROM kw WHERE part IN (0, 2) AND offs IN (3, 500, 900)') <= 6 AS "only what is asked for";
SELECT kw_messages('SELECT a FROM kw WHERE (part, offs) IN ((0, 1), (1, 999), (7, 7))') <= 2 AS "only what is asked for";
SELECT kw_messages('SELECT a FROM kw WHERE offs = ANY (ARRAY[1, 2])') <= 6 AS "only what is asked for";
SELECT kw_messages('SELECT a FROM kw WHERE offs IN (SELECT 7::bigint) AND part = 1') <= 1 AS "only what is asked for";

--
-- A right-hand side that is not constant is an error
--
SELECT count(*) FROM kw WHERE offs > length(current_database())::bigint * 0 + 997;
SELECT count(*) FROM kw WHERE offs > random() * 0 + 997;
SELECT count(*) FROM kw WHERE offs = a AND part = a % 3;
SELECT count(*) FROM kw WHERE offs > (SELECT 997) AND part = (SELECT min(part) FROM kw_local);
SELECT count(*) FROM kw JOIN kw_local l USING (part, offs) WHERE l.a = 5;
PREPARE kw_parameters (int, bigint) AS SELECT count(*) FROM kw WHERE part = $1 AND offs >= $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE kw_parameters (1, 990);
EXECUTE kw_parameters (1, NULL);
RESET plan_cache_mode;

--
-- partition <= 300000000 loops
--
SELECT count(*) FROM kw WHERE part <= 300000000 AND offs < 10;
SELECT count(*) FROM kw WHERE part > -300000000 AND part < 2147483647 AND offs < 10;
SELECT count(*) FROM kw WHERE part BETWEEN 1 AND 300000000 AND offs BETWEEN 0 AND 9223372036854775807;
SELECT count(*) FROM kw WHERE part = 300000000;

--
-- INSERT to a dead broker or a missing partition reports success
--
CREATE SERVER kw_dead FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers '127.0.0.1:9', delivery 'immediate', timeout '200ms');
CREATE FOREIGN TABLE kw_dead (a int) SERVER kw_dead OPTIONS (topic 'kw', format 'csv');
-- the reason is the operating system's
\set VERBOSITY sqlstate
INSERT INTO kw_dead VALUES (1);
\set VERBOSITY default
INSERT INTO kw (part, a) VALUES (3, 3000);
INSERT INTO kw (part, a) VALUES (-1, 3000);
CREATE FOREIGN TABLE kw_missing (a int) SERVER kw OPTIONS (topic 'kw_missing', format 'csv');
INSERT INTO kw_missing VALUES (1);
SELECT count(*) FROM kw WHERE a = 3000;

--
-- A csv row that was written cannot be read back strictly
--
SELECT kafka.create_topic('kw', 'kw_strict');
CREATE FOREIGN TABLE kw_strict (a int, b text, c text, _offset bigint) SERVER kw OPTIONS (topic 'kw_strict', format 'csv', strict 'true');
CREATE FOREIGN TABLE kw_strict_raw (value text, _offset bigint) SERVER kw OPTIONS (topic 'kw_strict', format 'raw');
CREATE FOREIGN TABLE kw_strict_one (b text, _offset bigint) SERVER kw OPTIONS (topic 'kw_strict', format 'csv', strict 'true');
INSERT INTO kw_strict VALUES (1, 'b', 'c'), (2, NULL, NULL), (3, '', ','), (4, '"', E'\n'), (NULL, NULL, 'c'), (NULL, NULL, NULL), (6, E'a\r\nb', '\.');
SELECT value FROM kw_strict_raw ORDER BY _offset;
SELECT * FROM kw_strict ORDER BY _offset;
INSERT INTO kw_strict_one VALUES (''), ('\.'), (' '), (E'\r\n'), (NULL);
SELECT to_json(b) FROM kw_strict_one WHERE _offset >= 7 ORDER BY _offset;

-- The others are in test/t: a full queue ignores cancel (012), an ERROR leaks
-- threads (011, 016).
SET client_min_messages = warning;
DROP SERVER kw CASCADE;
DROP SERVER kw_dead CASCADE;
DROP TABLE kw_local;
DROP FUNCTION kw_messages;
DEALLOCATE kw_parameters;
