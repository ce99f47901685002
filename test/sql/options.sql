-- Options: what is accepted where, and by whom.  Needs no broker.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\set VERBOSITY default

-- servers
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw;
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_serverz 'h:1');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (zzz 'h:1');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (brokers 'h:1', bootstrap_servers 'h:2');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', topic 't');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', sasl_password 'geheim');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', "group.id" 'g');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', "plugin.library.paths" '/tmp/x.so');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', "sasl.kerberos.kinit.cmd" 'id');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', timeout 'soon');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', timeout '1ms');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', security_protocol 'tls');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', "linger.ms" 'x');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', acks '1');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', check_crcs 'perhaps');
CREATE SERVER o FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers 'h:1', "security.protocol" 'SASL_SSL', sasl_mechanism 'PLAIN',
			 timeout '5s', "socket.timeout.ms" '5000', "isolation.level" 'read_uncommitted',
			 delivery 'immediate');
CREATE SERVER o2 FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', security_protocol 'sasl_ssl');
CREATE SERVER o2 FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', sasl_mechanisms 'PLAIN', sasl_mechanism 'PLAIN');
CREATE SERVER o2 FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', enable_ssl_certificate_verification 'off');
DROP SERVER o2;
ALTER SERVER o OPTIONS (ADD foo 'bar');
ALTER SERVER o OPTIONS (DROP bootstrap_servers);

-- user mappings: the value of a secret is never repeated
CREATE USER MAPPING FOR PUBLIC SERVER o OPTIONS (bootstrap_servers 'h:1');
CREATE USER MAPPING FOR PUBLIC SERVER o OPTIONS (sasl_pasword 'geheim');
CREATE USER MAPPING FOR PUBLIC SERVER o OPTIONS (sasl_user 'u');
CREATE USER MAPPING FOR PUBLIC SERVER o OPTIONS (sasl_password '');
CREATE USER MAPPING FOR PUBLIC SERVER o OPTIONS (sasl_username 'u', "sasl.password" 'geheim');

-- tables
CREATE FOREIGN TABLE ot (a int) SERVER o;
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't,,u');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't,^u');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic '^(t');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't', format 'xml');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't', bootstrap_servers 'h:1');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't', delimiter ',');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't', format 'csv', delimiter ';;');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't', format 'text', quote '"');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't', format 'csv', rows 'a.b');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't', on_error 'later');
CREATE FOREIGN TABLE ot (a int) SERVER o OPTIONS (topic 't', delivery 'later');
CREATE FOREIGN TABLE ot (a int OPTIONS (metadata 'colour')) SERVER o OPTIONS (topic 't');
CREATE FOREIGN TABLE ot (a timestamptz OPTIONS (epoch 'h')) SERVER o OPTIONS (topic 't');
CREATE FOREIGN TABLE ot (a int OPTIONS (topic 't')) SERVER o OPTIONS (topic 't');
CREATE FOREIGN TABLE ot (a int) SERVER o
	OPTIONS (topic 't', format 'csv', delimiter ';', quote '''', "null" '-', "fetch.min.bytes" '1');

-- who may set what
CREATE ROLE kafka_options_user;
GRANT USAGE ON FOREIGN DATA WRAPPER kafka_fdw TO kafka_options_user;
SET ROLE kafka_options_user;
CREATE SERVER ou FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', debug 'all');
CREATE SERVER ou FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', "ssl.ca.location" '/etc/passwd');
CREATE SERVER ou FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1', "sasl.mechanism" 'GSSAPI');
CREATE SERVER ou FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers 'h:1');
RESET ROLE;
-- what a superuser has set goes with the host it was set for
ALTER SERVER ou OPTIONS (ADD debug 'broker');
SET ROLE kafka_options_user;
ALTER SERVER ou OPTIONS (SET bootstrap_servers 'elsewhere:1');
ALTER SERVER ou OPTIONS (DROP debug);
ALTER SERVER ou OPTIONS (SET bootstrap_servers 'elsewhere:1');
RESET ROLE;
ALTER SERVER ou OPTIONS (ADD "sasl.kerberos.principal" 'a$(id)');

-- every kind of statement that an option belongs to is checked
CREATE FOREIGN DATA WRAPPER kafka_other HANDLER kafka.fdw_handler VALIDATOR kafka.fdw_validator OPTIONS (topic 't');

-- functions need USAGE, and a server of ours
CREATE FOREIGN DATA WRAPPER kafka_dummy;
CREATE SERVER not_kafka FOREIGN DATA WRAPPER kafka_dummy;
SELECT * FROM kafka.topics('not_kafka');
SELECT * FROM kafka.topics('nowhere');
SET ROLE kafka_options_user;
SELECT * FROM kafka.topics('o');
SELECT partition, "offset" FROM kafka.produce_now('ou', 't', 'x');
SELECT kafka.create_topic('ou', 't');
SELECT kafka.delete_topic('ou', 't');
RESET ROLE;

DROP FOREIGN DATA WRAPPER kafka_dummy CASCADE;
DROP SERVER o, ou CASCADE;
REVOKE USAGE ON FOREIGN DATA WRAPPER kafka_fdw FROM kafka_options_user;
DROP ROLE kafka_options_user;
