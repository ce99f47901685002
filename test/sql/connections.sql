-- Connections that a session keeps.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER conn FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
CREATE SERVER conn2 FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
SELECT kafka.create_topic('conn', 'conn', 2);
CREATE FOREIGN TABLE conn (a int, _offset bigint) SERVER conn OPTIONS (topic 'conn');
SELECT kafka.disconnect_all() > 0 AS closed;
SELECT * FROM kafka.connections();

-- one a kind, used again and again
INSERT INTO conn SELECT generate_series(1, 10);
INSERT INTO conn SELECT generate_series(11, 20);
SELECT count(*) FROM conn;
SELECT count(*) FROM conn;
SELECT a FROM conn ORDER BY a LIMIT 1;
SELECT server, client, active, idle < interval '1 h' AS idle FROM kafka.connections() ORDER BY 1, 2;

-- two scans at once need two
SELECT count(*) FROM conn x JOIN conn y USING (a);
SELECT client, count(*) FROM kafka.connections() GROUP BY 1 ORDER BY 1;

-- an open cursor uses one; an ERROR closes what it meets
BEGIN;
DECLARE c CURSOR FOR SELECT a FROM conn;
FETCH 0 FROM c;
MOVE 1 FROM c;
SELECT active, count(*) FROM kafka.connections() WHERE client = 'consumer' GROUP BY 1 ORDER BY 1;
SELECT 1 / 0;
ROLLBACK;
SELECT client, active, count(*) FROM kafka.connections() GROUP BY 1, 2 ORDER BY 1, 2;
SELECT 1 / (a - 5) FROM conn;
SELECT client, active, count(*) FROM kafka.connections() GROUP BY 1, 2 ORDER BY 1, 2;

-- a changed server is connected to anew, a dropped one not kept
SELECT count(*) FROM conn;
ALTER SERVER conn OPTIONS (ADD "fetch.min.bytes" '1');
SELECT count(*) FROM conn;
SELECT client, count(*) FROM kafka.connections() GROUP BY 1 ORDER BY 1;

-- so with a changed or dropped user mapping
CREATE USER MAPPING FOR CURRENT_USER SERVER conn OPTIONS ("sasl.username" 'one');
SELECT count(*) FROM conn;
ALTER USER MAPPING FOR CURRENT_USER SERVER conn OPTIONS (SET "sasl.username" 'two');
SELECT count(*) FROM conn;
SELECT client, count(*) FROM kafka.connections() GROUP BY 1 ORDER BY 1;
DROP USER MAPPING FOR CURRENT_USER SERVER conn;
SELECT count(*) FROM conn;
SELECT client, count(*) FROM kafka.connections() GROUP BY 1 ORDER BY 1;

-- none is kept for longer than that
SET kafka_fdw.idle_timeout = 0;
SELECT kafka.disconnect_all() > 0 AS closed;
SELECT count(*) FROM conn;
SELECT * FROM kafka.connections();
SET kafka_fdw.idle_timeout = '200ms';
SELECT count(*) FROM conn;
DO $$
DECLARE
	until timestamptz := clock_timestamp() + interval '30 s';
BEGIN
	WHILE EXISTS (SELECT FROM kafka.connections()) LOOP
		IF clock_timestamp() > until THEN
			RAISE 'still connected';
		END IF;
	END LOOP;
END $$;
SELECT count(*) FROM conn;
RESET kafka_fdw.idle_timeout;

-- DISCARD ALL leaves none; a transactional producer is kept like any other
BEGIN;
INSERT INTO conn SELECT generate_series(1, 2);
SET LOCAL kafka_fdw.delivery = commit;
SELECT kafka.produce('conn2', 'conn', '{"a": 1}') FROM generate_series(1, 2);
COMMIT;
SELECT server, client, active FROM kafka.connections() ORDER BY 1, 2;
DISCARD ALL;
SELECT * FROM kafka.connections();

DROP SERVER conn2;
DROP SERVER conn CASCADE;
