-- The trigger function kafka.produce_row.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER row FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
SELECT kafka.create_topic('row', 'row');
CREATE FOREIGN TABLE row_log (_key text, _value text, _offset bigint)
	SERVER row OPTIONS (topic 'row', format 'raw');

-- what was sent since the last call, once there are n messages
CREATE TABLE row_seen (next bigint);
INSERT INTO row_seen VALUES (0);
CREATE FUNCTION row_sent(n int) RETURNS TABLE (key text, value text) LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + interval '30 s';
	start bigint := (SELECT next FROM row_seen);
	last bigint;
BEGIN
	LOOP
		EXIT WHEN (SELECT count(*) FROM row_log WHERE _offset >= start) >= n OR clock_timestamp() > until;
	END LOOP;
	SELECT max(_offset) + 1 INTO last FROM row_log WHERE _offset >= start;
	UPDATE row_seen SET next = coalesce(last, start);
	RETURN QUERY SELECT _key, _value FROM row_log WHERE _offset >= start AND _offset < last ORDER BY _offset;
END $$;

CREATE TABLE row_order (id int PRIMARY KEY, line int, made_at timestamptz, price numeric, code bytea, dropped int, note text);
ALTER TABLE row_order DROP COLUMN dropped;
CREATE TRIGGER send AFTER INSERT OR UPDATE OR DELETE ON row_order
	FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row', 'id');

-- rows as JSON, whatever the session's settings
SET TIME ZONE 'UTC';
SET datestyle = 'SQL, DMY';
SET bytea_output = escape;
INSERT INTO row_order VALUES (1, 1, '2018-10-22 14:20:30+00', 1.50, '\x00ff', 'first'), (2, 1, NULL, NULL, NULL, NULL);
RESET datestyle;
RESET bytea_output;
SELECT * FROM row_sent(2);
-- an update sends the new row, and a tombstone when the key changes
UPDATE row_order SET note = 'changed' WHERE id = 1;
UPDATE row_order SET id = 3 WHERE id = 1;
SELECT * FROM row_sent(3);
DELETE FROM row_order WHERE id = 2;
SELECT * FROM row_sent(1);
-- with the transaction
BEGIN;
DELETE FROM row_order;
ROLLBACK;
BEGIN;
SAVEPOINT a;
UPDATE row_order SET note = 'never';
ROLLBACK TO a;
UPDATE row_order SET note = 'kept';
COMMIT;
SELECT * FROM row_sent(1);
-- or at once
SET kafka_fdw.delivery = immediate;
BEGIN;
UPDATE row_order SET note = 'at once';
ROLLBACK;
RESET kafka_fdw.delivery;
SELECT * FROM row_sent(1);

-- several columns make an object; one that is NULL no key
DROP TRIGGER send ON row_order;
CREATE TRIGGER send AFTER INSERT OR UPDATE OR DELETE ON row_order
	FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row', 'line', 'id');
INSERT INTO row_order (id, line) VALUES (4, NULL);
DELETE FROM row_order WHERE id = 4;
DROP TRIGGER send ON row_order;
CREATE TRIGGER send AFTER INSERT OR UPDATE OR DELETE ON row_order
	FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row', 'note');
INSERT INTO row_order (id) VALUES (5);
UPDATE row_order SET note = '' WHERE id = 5;
UPDATE row_order SET note = NULL WHERE id = 5;
DELETE FROM row_order WHERE id = 5;
DROP TRIGGER send ON row_order;
CREATE TRIGGER send AFTER INSERT OR DELETE ON row_order
	FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row');
INSERT INTO row_order (id) VALUES (6);
DELETE FROM row_order WHERE id = 6;
DROP TRIGGER send ON row_order;
SELECT * FROM row_sent(7);

-- statements with transition tables; keys may be swapped
TRUNCATE row_order;
CREATE TRIGGER ins AFTER INSERT ON row_order REFERENCING NEW TABLE AS new
	FOR EACH STATEMENT EXECUTE FUNCTION kafka.produce_row('row', 'row', 'id');
CREATE TRIGGER upd AFTER UPDATE ON row_order REFERENCING OLD TABLE AS old NEW TABLE AS new
	FOR EACH STATEMENT EXECUTE FUNCTION kafka.produce_row('row', 'row', 'id');
CREATE TRIGGER del AFTER DELETE ON row_order REFERENCING OLD TABLE AS old
	FOR EACH STATEMENT EXECUTE FUNCTION kafka.produce_row('row', 'row', 'id');
INSERT INTO row_order (id, note) SELECT i, 'bulk' FROM generate_series(1, 3) i;
SELECT key, value::json ->> 'note' AS note FROM row_sent(3);
ALTER TABLE row_order DROP CONSTRAINT row_order_pkey;
ALTER TABLE row_order ADD UNIQUE (id) DEFERRABLE;
UPDATE row_order SET id = id + 1, note = 'moved';
SELECT key, value::json ->> 'note' AS note FROM row_sent(4);
DELETE FROM row_order WHERE id < 4;
SELECT * FROM row_sent(2);
UPDATE row_order SET note = 'none' WHERE false;
SET kafka_fdw.delivery = immediate;
INSERT INTO row_order (id) SELECT i FROM generate_series(101, 1100) i;
RESET kafka_fdw.delivery;
SELECT count(*), count(DISTINCT key) FROM row_sent(1000);

-- a partitioned table
CREATE TABLE row_parent (id int, b text) PARTITION BY RANGE (id);
CREATE TABLE row_part1 (b text, id int);
ALTER TABLE row_parent ATTACH PARTITION row_part1 FOR VALUES FROM (0) TO (10);
CREATE TABLE row_part2 PARTITION OF row_parent FOR VALUES FROM (10) TO (20);
CREATE TRIGGER send AFTER INSERT OR UPDATE OR DELETE ON row_parent
	FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row', 'id');
INSERT INTO row_parent VALUES (1, 'one'), (11, 'eleven');
UPDATE row_parent SET id = 12 WHERE id = 1;
SELECT * FROM row_sent(4);

-- what it refuses
CREATE TRIGGER truncate BEFORE TRUNCATE ON row_order
	FOR EACH STATEMENT EXECUTE FUNCTION kafka.produce_row('row', 'row', 'id');
TRUNCATE row_order;
CREATE TABLE row_bad (id int);
CREATE TRIGGER before BEFORE INSERT ON row_bad FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row');
INSERT INTO row_bad VALUES (1);
DROP TRIGGER before ON row_bad;
CREATE TRIGGER short AFTER INSERT ON row_bad FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row');
INSERT INTO row_bad VALUES (1);
DROP TRIGGER short ON row_bad;
CREATE TRIGGER none AFTER INSERT ON row_bad FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row', 'ctid');
INSERT INTO row_bad VALUES (1);
DROP TRIGGER none ON row_bad;
CREATE TRIGGER no_table AFTER INSERT ON row_bad FOR EACH STATEMENT EXECUTE FUNCTION kafka.produce_row('row', 'row');
INSERT INTO row_bad VALUES (1);
DROP TRIGGER no_table ON row_bad;
CREATE TRIGGER no_server AFTER INSERT ON row_bad FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('none', 'row');
INSERT INTO row_bad VALUES (1);
SELECT * FROM row_bad;

-- whose rights: EXECUTE to create a trigger, USAGE to change the table
CREATE ROLE kafka_row_user;
CREATE ROLE kafka_row_owner;
GRANT CREATE ON SCHEMA public TO kafka_row_owner;
SET ROLE kafka_row_owner;
CREATE TABLE row_owned (id int);
CREATE TRIGGER send AFTER INSERT ON row_owned FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row', 'id');
RESET ROLE;
GRANT EXECUTE ON FUNCTION kafka.produce_row() TO kafka_row_owner;
SET ROLE kafka_row_owner;
CREATE TRIGGER send AFTER INSERT ON row_owned FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('row', 'row', 'id');
GRANT INSERT ON row_owned TO kafka_row_user;
RESET ROLE;
SET ROLE kafka_row_user;
INSERT INTO row_owned VALUES (1);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER row TO kafka_row_user;
SET ROLE kafka_row_user;
INSERT INTO row_owned VALUES (1);
RESET ROLE;
SELECT * FROM row_sent(1);

DROP TABLE row_order, row_parent, row_bad, row_owned, row_seen;
DROP FUNCTION row_sent(int);
DROP OWNED BY kafka_row_user, kafka_row_owner;
DROP ROLE kafka_row_user, kafka_row_owner;
SELECT kafka.delete_topic('row', 'row');
DROP SERVER row CASCADE;
