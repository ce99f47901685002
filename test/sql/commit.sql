-- Delivery "commit": what the transaction commits, and nothing else.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER cmt FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
SELECT kafka.create_topic('cmt', 'cmt');
CREATE FOREIGN TABLE cmt (a int, b text, _partition int, _offset bigint, _timestamp timestamptz, _key text)
	SERVER cmt OPTIONS (topic 'cmt');
CREATE TABLE cmt_local (a int);

-- Kafka shows a transaction a moment after it has committed it
CREATE FUNCTION cmt_wait(t regclass, n bigint) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + interval '30 s';
	count bigint;
BEGIN
	LOOP
		EXECUTE format('SELECT count(*) FROM %s', t) INTO count;
		IF count >= n OR clock_timestamp() > until THEN
			RETURN count = n;
		END IF;
	END LOOP;
END $$;

-- it is the default; where a row goes is known only as far as the row says
INSERT INTO cmt (a) VALUES (1);
INSERT INTO cmt (a, _partition, _offset, _timestamp) VALUES (2, 0, 17, '2018-10-22 14:20:30+00'), (3, NULL, NULL, NULL)
	RETURNING a, _partition, _offset, _timestamp = '2018-10-22 14:20:30+00' AS timestamp;
BEGIN;
INSERT INTO cmt (a) VALUES (0) RETURNING *;
ROLLBACK;
SELECT cmt_wait('cmt', 3);
SELECT a, _offset, _timestamp = '2018-10-22 14:20:30+00' AS timestamp FROM cmt ORDER BY _offset LIMIT 2;

-- nothing is sent before the commit, and nothing at all after a rollback
BEGIN;
INSERT INTO cmt (a) VALUES (4);
COPY cmt (a) FROM STDIN;
5
\.
SELECT kafka.produce('cmt', 'cmt', '{"a": 6}');
SELECT count(*) FROM cmt WHERE a BETWEEN 4 AND 6;
ROLLBACK;
SELECT count(*) FROM cmt WHERE a BETWEEN 4 AND 6;
BEGIN;
INSERT INTO cmt (a) VALUES (7);
SELECT 1 / 0;
COMMIT;
SELECT count(*) FROM cmt WHERE a = 7;

-- the order of the statements, whatever sends
TRUNCATE cmt_local;
BEGIN;
INSERT INTO cmt (a) VALUES (10);
SELECT kafka.produce('cmt', 'cmt', '{"a": 11}');
INSERT INTO cmt (a) VALUES (12), (13);
COMMIT;
SELECT cmt_wait('cmt', 7);
SELECT a FROM cmt WHERE a BETWEEN 10 AND 19 ORDER BY _offset;

-- savepoints
BEGIN;
INSERT INTO cmt (a, b) VALUES (20, 'kept');
SAVEPOINT a;
INSERT INTO cmt (a) VALUES (21);
SAVEPOINT b;
INSERT INTO cmt (a) VALUES (22);
ROLLBACK TO b;
INSERT INTO cmt (a) VALUES (23);
RELEASE b;
ROLLBACK TO a;
SAVEPOINT c;
SAVEPOINT d;
INSERT INTO cmt (a, b) VALUES (24, 'kept');
RELEASE d;
SAVEPOINT d;
INSERT INTO cmt (a) VALUES (25);
ROLLBACK TO d;
RELEASE c;
SAVEPOINT e;
SAVEPOINT f;
INSERT INTO cmt (a) VALUES (26);
RELEASE f;
ROLLBACK TO e;
INSERT INTO cmt (a, b) VALUES (27, 'kept');
COMMIT;
SELECT cmt_wait('cmt', 10);
SELECT a, b FROM cmt WHERE a BETWEEN 20 AND 29 ORDER BY _offset;

-- savepoints 100 deep; a rollback to one in the middle takes those within along
BEGIN;
\set ECHO none
SELECT format('SAVEPOINT s%s', i), format('INSERT INTO cmt (a, b) VALUES (%s, ''deep'')', 2000 + i) FROM generate_series(1, 100) i \gexec
ROLLBACK TO s81;
SELECT format('RELEASE s%s', i) FROM generate_series(80, 61, -1) i \gexec
\set ECHO all
ROLLBACK TO s51;
INSERT INTO cmt (a, b) VALUES (2051, 'again');
RELEASE s1;
COMMIT;
SELECT cmt_wait('cmt', 61);
SELECT count(*), min(a), max(a), string_agg(b, '') FILTER (WHERE b <> 'deep') AS again, bool_and(a = rank) AS in_order
FROM (SELECT a, b, 2000 + row_number() OVER (ORDER BY _offset) AS rank FROM cmt WHERE a > 2000) x;

-- blocks with exceptions, 100 deep: every seventh fails after what it has called
CREATE FUNCTION cmt_nested(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO cmt (a, b) VALUES (n, 'before');
	BEGIN
		IF n < 1100 THEN
			PERFORM cmt_nested(n + 1);
		END IF;
		INSERT INTO cmt (a, b) VALUES (n, 'within');
		IF n % 7 = 0 AND n >= 1090 THEN
			PERFORM 1 / 0;
		END IF;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO cmt (a, b) VALUES (n, 'failed');
	END;
END $$;
SELECT cmt_nested(1001);
SELECT cmt_wait('cmt', 245);
SELECT count(*), min(a), max(a), count(*) FILTER (WHERE b = 'before'), count(*) FILTER (WHERE b = 'within'),
	string_agg(a::text, ' ') FILTER (WHERE b = 'failed') AS failed
FROM cmt WHERE a BETWEEN 1001 AND 2000;
SELECT bool_and(rank = a) AS in_order
FROM (SELECT a, 1000 + row_number() OVER (ORDER BY _offset) AS rank FROM cmt WHERE a BETWEEN 1001 AND 2000 AND b = 'before') x;

-- more than there is memory for goes to a file, and comes back from there
SET kafka_fdw.commit_memory = '64kB';
SELECT kafka.create_topic('cmt', 'cmt_spilt', 2);
CREATE FOREIGN TABLE cmt_spilt (a int, b text, _partition int, _offset bigint) SERVER cmt OPTIONS (topic 'cmt_spilt');
BEGIN;
INSERT INTO cmt_spilt SELECT i, repeat('x', 100), i % 2 FROM generate_series(1, 2000) i;
SAVEPOINT a;
INSERT INTO cmt_spilt SELECT i, repeat('y', 100), i % 2 FROM generate_series(1, 5000) i;
ROLLBACK TO a;
INSERT INTO cmt_spilt VALUES (0, repeat('z', 200000), 0);
INSERT INTO cmt_spilt SELECT i, repeat('x', 100), i % 2 FROM generate_series(2001, 3000) i;
SAVEPOINT b;
INSERT INTO cmt_spilt VALUES (0, 'y', 0);
ROLLBACK TO b;
COMMIT;
RESET kafka_fdw.commit_memory;
SELECT cmt_wait('cmt_spilt', 3001);
SELECT count(*), sum(a), count(DISTINCT a), max(length(b)), count(*) FILTER (WHERE b LIKE 'y%') AS y FROM cmt_spilt;
SELECT bool_and(rank = a) AS in_order
FROM (SELECT a, 2 * row_number() OVER (ORDER BY _offset) - _partition AS rank, _partition
	FROM cmt_spilt WHERE _partition = 0 AND a > 0) x;

-- whatever a message has, and wherever it goes
SET kafka_fdw.commit_memory = '64kB';
SELECT kafka.create_topic('cmt', topic) FROM unnest('{cmt_log0,cmt_log1,cmt_log2}'::text[]) topic;
CREATE FOREIGN TABLE cmt_log (_topic text, _key bytea, _value bytea, _headers kafka.header[], _timestamp timestamptz, _offset bigint)
	SERVER cmt OPTIONS (topic '^cmt_log.$', format 'raw');
CREATE VIEW cmt_messages AS
SELECT 'cmt_log' || i / 100 % 3 AS topic,
	(CASE WHEN i % 5 = 1 THEN '' WHEN i % 5 > 1 THEN 'key' || i END)::bytea AS key,
	(CASE WHEN i % 7 = 1 THEN '' WHEN i % 7 > 1 THEN repeat(i || ' ', i % 50) END)::bytea AS value,
	CASE WHEN i % 11 = 1 THEN ARRAY[('a', '\x00'), ('a', NULL), ('b', ''), ('n', i::text::bytea)]::kafka.header[] END AS headers,
	CASE WHEN i % 13 = 1 THEN timestamptz '2018-10-22 14:20:30+00' + i * interval '1 ms' END AS timestamp,
	i
FROM generate_series(1, 10000) i;
SELECT count(kafka.produce('cmt', topic, value, key => key, headers => headers, "timestamp" => timestamp)) FROM cmt_messages;
RESET kafka_fdw.commit_memory;
SELECT cmt_wait('cmt_log', 10000);
SELECT count(*) AS different
FROM (SELECT *, row_number() OVER (PARTITION BY topic ORDER BY i) AS n FROM cmt_messages) m
FULL JOIN (SELECT *, row_number() OVER (PARTITION BY _topic ORDER BY _offset) AS n FROM cmt_log) l
	ON topic = _topic AND m.n = l.n
WHERE (key, value, coalesce(headers, '{}')) IS DISTINCT FROM (_key, _value, coalesce(_headers, '{}'))
	OR timestamp <> _timestamp OR (timestamp IS NULL) <> (_timestamp > now() - interval '1 day');

-- deferred triggers belong to the transaction, and what a commit runs
CREATE FUNCTION cmt_deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kafka.produce('cmt', 'cmt', format('{"a": %s}', NEW.a));
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON cmt_local DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION cmt_deferred();
BEGIN;
INSERT INTO cmt_local VALUES (30);
DECLARE held CURSOR WITH HOLD FOR SELECT kafka.produce('cmt', 'cmt', format('{"a": %s}', i)) FROM generate_series(31, 32) i;
COMMIT;
CLOSE held;
SELECT cmt_wait('cmt', 248);
SELECT a FROM cmt WHERE a BETWEEN 30 AND 39 ORDER BY a;

-- a failed deferred constraint leaves nothing
ALTER TABLE cmt_local ADD CONSTRAINT cmt_unique UNIQUE (a) DEFERRABLE INITIALLY DEFERRED;
INSERT INTO cmt_local VALUES (33), (33);
SELECT a FROM cmt WHERE a = 33;

-- several transactions in a procedure
CREATE PROCEDURE cmt_procedure() LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO cmt (a) VALUES (40);
	COMMIT;
	INSERT INTO cmt (a) VALUES (41);
	ROLLBACK;
	INSERT INTO cmt (a) VALUES (42);
END $$;
CALL cmt_procedure();
SELECT cmt_wait('cmt', 250);
SELECT a FROM cmt WHERE a BETWEEN 40 AND 49 ORDER BY a;

-- the session itself sees what it has committed
SELECT kafka.create_topic('cmt', 'cmt_own', 4);
CREATE FOREIGN TABLE cmt_own (a int, _partition int) SERVER cmt OPTIONS (topic 'cmt_own');
CREATE PROCEDURE cmt_look(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		INSERT INTO cmt_own SELECT i, p FROM generate_series(0, 3) p;
		COMMIT;
		IF (SELECT count(*) FROM cmt_own) <> 4 * i THEN
			RAISE 'transaction % is not seen', i;
		END IF;
	END LOOP;
END $$;
CALL cmt_look(30);

-- two servers, and two tables of different options
CREATE SERVER cmt2 FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
CREATE FOREIGN TABLE cmt_zstd (a int) SERVER cmt OPTIONS (topic 'cmt', compression_type 'gzip');
BEGIN;
INSERT INTO cmt (a) VALUES (50);
INSERT INTO cmt_zstd VALUES (51);
SELECT kafka.produce('cmt2', 'cmt', '{"a": 52}');
COMMIT;
SELECT cmt_wait('cmt', 253);
SELECT a FROM cmt WHERE a BETWEEN 50 AND 59 ORDER BY a;

-- what Kafka refuses at the commit rolls back all
BEGIN;
INSERT INTO cmt_local VALUES (60);
SELECT kafka.produce('cmt', 'cmt_none', 'x');
COMMIT;
BEGIN;
INSERT INTO cmt_local VALUES (61);
INSERT INTO cmt (a, _partition) VALUES (61, 7);
COMMIT;
BEGIN;
INSERT INTO cmt_local VALUES (62);
INSERT INTO cmt (a, b) VALUES (62, repeat('x', 2000000));
COMMIT;
SELECT kafka.create_topic('cmt', 'cmt_small', config => '{"max.message.bytes": 1000}');
BEGIN;
INSERT INTO cmt_local VALUES (63);
INSERT INTO cmt (a) VALUES (63);
SELECT kafka.produce('cmt', 'cmt_small', repeat('x', 2000));
COMMIT;
SELECT kafka.produce('cmt', 'cmt_small', repeat('x', 2000));
SELECT a FROM cmt_local WHERE a BETWEEN 60 AND 69;
SELECT a FROM cmt WHERE a BETWEEN 60 AND 69;
INSERT INTO cmt (a) VALUES (70), (71);
SELECT cmt_wait('cmt', 255);
SELECT a FROM cmt WHERE a BETWEEN 70 AND 79;

-- what cannot be done
BEGIN;
INSERT INTO cmt (a) VALUES (80);
PREPARE TRANSACTION 'cmt';
BEGIN READ ONLY;
SELECT kafka.produce('cmt', 'cmt', 'x');
ROLLBACK;
BEGIN READ ONLY;
SELECT kafka.produce_now('cmt', 'cmt', 'x');
ROLLBACK;
SELECT a FROM cmt WHERE a = 80;

SELECT kafka.delete_topic('cmt', topic) FROM unnest('{cmt,cmt_spilt,cmt_small,cmt_own,cmt_log0,cmt_log1,cmt_log2}'::text[]) topic;
DROP VIEW cmt_messages;
DROP SERVER cmt CASCADE;
DROP SERVER cmt2;
DROP TABLE cmt_local;
DROP FUNCTION cmt_deferred();
DROP FUNCTION cmt_nested(int);
DROP FUNCTION cmt_wait(regclass, bigint);
DROP PROCEDURE cmt_procedure();
DROP PROCEDURE cmt_look(int);
