-- INSERT and COPY into a topic, delivery "immediate".
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER ins FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
SELECT kafka.create_topic('ins', 'ins', 2);

-- where delivery is set
CREATE FOREIGN TABLE ins (a int, b text, _partition int, _offset bigint, _timestamp timestamptz, _key text, _headers jsonb)
	SERVER ins OPTIONS (topic 'ins');
BEGIN;
INSERT INTO ins (a) VALUES (1);
ROLLBACK;
SET kafka_fdw.delivery = immediate;
INSERT INTO ins (a, b, _partition) VALUES (1, 'by parameter', 0);
RESET kafka_fdw.delivery;
ALTER SERVER ins OPTIONS (ADD delivery 'immediate');
INSERT INTO ins (a, b, _partition) VALUES (2, 'by server', 0);
ALTER FOREIGN TABLE ins OPTIONS (ADD delivery 'commit');
BEGIN;
INSERT INTO ins (a) VALUES (1);
ROLLBACK;
ALTER FOREIGN TABLE ins OPTIONS (SET delivery 'immediate');
EXPLAIN (COSTS OFF) INSERT INTO ins (a) VALUES (1);

-- everything that a message has
INSERT INTO ins (a, b, _partition, _timestamp, _key, _headers)
	VALUES (3, 'all', 1, '2018-10-22 14:20:30+00', 'k', '{"h": "v"}')
	RETURNING a, _partition, _offset, _timestamp = '2018-10-22 14:20:30+00' AS timestamp;
INSERT INTO ins (a, _partition) SELECT i, 1 FROM generate_series(4, 6) i RETURNING a, _partition, _offset;
-- nothing but a key is a tombstone
INSERT INTO ins (_key, _partition) VALUES ('k', 1);
SELECT a, b, _partition, _offset, _key, _headers FROM ins ORDER BY _partition, _offset;

-- the statement is sent as it runs: a rollback does not take it back
BEGIN;
INSERT INTO ins (a, _partition) VALUES (7, 0);
ROLLBACK;
SELECT a FROM ins WHERE _partition = 0;

-- triggers of the table: BEFORE ROW changes what is sent, AFTER ROW sees where it went
CREATE FUNCTION ins_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.b := upper(NEW.b);
	RETURN CASE WHEN NEW.b <> 'NOT THIS' THEN NEW END;
END $$;
CREATE FUNCTION ins_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % is at % of partition %', TG_OP, NEW.b, NEW._offset, NEW._partition;
	RETURN NULL;
END $$;
CREATE TRIGGER b BEFORE INSERT ON ins FOR EACH ROW EXECUTE FUNCTION ins_before();
CREATE TRIGGER a AFTER INSERT ON ins FOR EACH ROW EXECUTE FUNCTION ins_after();
INSERT INTO ins (a, b, _partition) VALUES (21, 'this', 1), (22, 'not this', 1), (23, 'and this', 1);
COPY ins (a, b, _partition) FROM STDIN (DELIMITER ',');
24,copied,1
\.
SELECT a, b, _offset FROM ins WHERE _partition = 1 AND a > 20;
DROP TRIGGER a ON ins;
DROP TRIGGER b ON ins;

-- defaults and generated columns
SELECT kafka.create_topic('ins', 'ins_default', 2);
CREATE FOREIGN TABLE ins_default (a int, b int DEFAULT 7, c int GENERATED ALWAYS AS (a * 2) STORED, _partition int DEFAULT 1)
	SERVER ins OPTIONS (topic 'ins_default');
INSERT INTO ins_default (a) VALUES (31), (32);
COPY ins_default (a) FROM STDIN;
33
\.
SELECT * FROM ins_default ORDER BY a;

-- COPY, and a partition of a partitioned table
COPY ins (a, b, _partition) FROM STDIN;
8	copied	0
9	copied	0
\.
CREATE TABLE ins_parent (a int, b text) PARTITION BY RANGE (a);
CREATE TABLE ins_local PARTITION OF ins_parent FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE ins_remote PARTITION OF ins_parent FOR VALUES FROM (10) TO (20)
	SERVER ins OPTIONS (topic 'ins');
INSERT INTO ins_parent VALUES (1, 'local'), (10, 'remote'), (11, NULL);
COPY ins_parent FROM STDIN;
2	local
12	remote
\.
SELECT tableoid::regclass, a, b FROM ins_parent WHERE a > 9 OR tableoid = 'ins_local'::regclass ORDER BY a;

-- what is refused is not sent
SELECT sum(high) FROM kafka.watermarks('ins', 'ins');
INSERT INTO ins (a, _partition) VALUES (1, 2);
INSERT INTO ins (a, _partition) VALUES (1, -1);
INSERT INTO ins (a, b) VALUES (1, repeat('x', 2000000));
INSERT INTO ins (a) VALUES (1) ON CONFLICT DO NOTHING;
INSERT INTO ins (a) SELECT 1 / (3 - i) FROM generate_series(3, 3) i;
CREATE FOREIGN TABLE ins_none (a int) SERVER ins OPTIONS (topic 'ins_none');
INSERT INTO ins_none VALUES (1);
CREATE FOREIGN TABLE ins_rows (a int) SERVER ins OPTIONS (topic 'ins', rows 'data.rows');
INSERT INTO ins_rows VALUES (1);
SELECT sum(high) FROM kafka.watermarks('ins', 'ins');

-- an error in the middle also tells, by a WARNING, what is already there; how much that
-- is, is by chance
SET client_min_messages = error;
INSERT INTO ins (a, _partition) SELECT 1 / (5000 - i), 0 FROM generate_series(1, 5000) i;
RESET client_min_messages;

-- a function of a view's owner uses the owner's rights
CREATE ROLE kafka_insert_user;
CREATE VIEW ins_view AS SELECT a, b, _partition FROM ins;
GRANT INSERT ON ins_view TO kafka_insert_user;
SET ROLE kafka_insert_user;
INSERT INTO ins_view VALUES (100, 'view', 1);
INSERT INTO ins (a) VALUES (1);
RESET ROLE;
SELECT a, b FROM ins WHERE a = 100;

DROP VIEW ins_view;
DROP TABLE ins_parent;
DROP SERVER ins CASCADE;
DROP FUNCTION ins_before(), ins_after();
DROP ROLE kafka_insert_user;
