-- What a subscription depends on is not dropped, or only together with it.

SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
DO $$
BEGIN
	EXECUTE format('CREATE SERVER depends FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers %L)',
				   current_setting('kafka_test.brokers'));
	PERFORM kafka.create_topic('depends', 'subscription_drop');
END $$;
RESET client_min_messages;

CREATE SCHEMA depends;
CREATE FUNCTION depends.subscribe(source regclass, target regclass) RETURNS text
LANGUAGE sql AS $$
	SELECT kafka.create_subscription('depends', source, target, enabled => false);
	SELECT string_agg(subscription, ' ') FROM kafka.subscription;
$$;
CREATE FOREIGN TABLE depends.source (a int) SERVER depends OPTIONS (topic 'subscription_drop');
CREATE TABLE depends.target (a int);
SELECT depends.subscribe('depends.source', 'depends.target');

-- refused
DROP TABLE depends.target;
DROP FOREIGN TABLE depends.source;
DROP TABLE IF EXISTS depends.nothing, depends.target;
CREATE TABLE depends.other (a int);
DROP TABLE depends.other;
ALTER TABLE depends.target ADD b int;
ALTER TABLE depends.target DROP b;
SELECT count(*) FROM kafka.subscription_position WHERE subscription = 'depends';

-- with CASCADE
DROP TABLE depends.target CASCADE;
SELECT count(*) FROM kafka.subscription;
SELECT count(*) FROM kafka.subscription_position;
CREATE TABLE depends.target (a int);
SELECT depends.subscribe('depends.source', 'depends.target');
BEGIN;
DROP FOREIGN TABLE depends.source CASCADE;
ROLLBACK;
SELECT count(*) FROM kafka.subscription;
DROP FOREIGN TABLE depends.source CASCADE;
SELECT count(*) FROM kafka.subscription;

-- both, in one command
CREATE SCHEMA inner_depends;
CREATE FOREIGN TABLE inner_depends.source (a int) SERVER depends OPTIONS (topic 'subscription_drop');
CREATE TABLE inner_depends.target (a int);
SELECT depends.subscribe('inner_depends.source', 'inner_depends.target');
DROP SCHEMA inner_depends;
SET client_min_messages = warning;
DROP SCHEMA inner_depends CASCADE;
RESET client_min_messages;
SELECT count(*) FROM kafka.subscription;

-- partitions go with their table
CREATE FOREIGN TABLE depends.source (a int) SERVER depends OPTIONS (topic 'subscription_drop');
CREATE TABLE depends.parted (a int) PARTITION BY LIST (a);
CREATE TABLE depends.part PARTITION OF depends.parted DEFAULT;
SELECT depends.subscribe('depends.source', 'depends.part');
DROP TABLE depends.parted;
DROP TABLE depends.parted CASCADE;

-- roles
CREATE ROLE regress_depends LOGIN;
GRANT USAGE ON FOREIGN SERVER depends TO regress_depends;
GRANT USAGE, CREATE ON SCHEMA depends TO regress_depends;
SET ROLE regress_depends;
CREATE FOREIGN TABLE depends.theirs (a int) SERVER depends OPTIONS (topic 'subscription_drop');
CREATE TABLE depends.their_target (a int);
SELECT kafka.create_subscription('theirs', 'depends.theirs', 'depends.their_target', enabled => false);
SELECT kafka.create_subscription('theirs too', 'depends.theirs', 'depends.their_target', enabled => false);
RESET ROLE;
DROP TABLE depends.their_target CASCADE;
DROP FOREIGN TABLE depends.theirs;
SELECT count(*) FROM kafka.subscription;
GRANT SELECT ON depends.source TO regress_depends;
GRANT INSERT ON depends.target TO regress_depends;
SET ROLE regress_depends;
SELECT kafka.create_subscription('theirs', 'depends.source', 'depends.target', enabled => false);
RESET ROLE;
REVOKE ALL ON depends.source, depends.target FROM regress_depends;
REVOKE ALL ON SCHEMA depends FROM regress_depends;
REVOKE ALL ON FOREIGN SERVER depends FROM regress_depends;
DROP ROLE regress_depends;
SELECT subscription, owner FROM kafka.subscription;
DROP OWNED BY regress_depends;
SELECT subscription, owner FROM kafka.subscription;
DROP ROLE regress_depends;

-- a role whose last subscription is dropped is free again
CREATE ROLE regress_depends SUPERUSER LOGIN;
SET ROLE regress_depends;
SELECT kafka.create_subscription('theirs', 'depends.source', 'depends.target', enabled => false);
RESET ROLE;
DROP ROLE regress_depends;
SELECT kafka.drop_subscription('theirs');
DROP ROLE regress_depends;

-- the server, and all that hangs on it
SELECT depends.subscribe('depends.source', 'depends.target');
SELECT kafka.delete_topic('depends', 'subscription_drop');
DROP SERVER depends CASCADE;
SELECT count(*) FROM kafka.subscription;
SET client_min_messages = warning;
DROP SCHEMA depends CASCADE;
