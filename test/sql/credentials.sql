-- Whose identity a connection may have: the role's own, or one that a superuser has lent.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\set VERBOSITY default
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE ROLE kafka_cred_owner;
CREATE ROLE kafka_cred_user;
GRANT USAGE ON FOREIGN DATA WRAPPER kafka_fdw TO kafka_cred_owner;

-- a broker without authentication, chosen by a superuser
CREATE SERVER cred FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
GRANT USAGE ON FOREIGN SERVER cred TO kafka_cred_user;
SET ROLE kafka_cred_user;
SELECT count(*) >= 0 AS reached FROM kafka.topics('cred');
RESET ROLE;

-- and one that somebody else has chosen
SET ROLE kafka_cred_owner;
CREATE SERVER cred_own FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
SELECT * FROM kafka.topics('cred_own');
RESET ROLE;
CREATE FOREIGN TABLE cred_own (a int) SERVER cred_own OPTIONS (topic 'cred_own');
GRANT SELECT ON cred_own TO kafka_cred_owner;
SET ROLE kafka_cred_owner;
SELECT * FROM cred_own;
EXPLAIN (COSTS OFF) SELECT * FROM cred_own;
ALTER SERVER cred_own OPTIONS (ADD password_required 'false');
CREATE USER MAPPING FOR kafka_cred_owner SERVER cred_own OPTIONS (password_required 'false');
RESET ROLE;
SELECT count(*) >= 0 AS reached FROM kafka.topics('cred_own');

-- lent in a mapping: the server's owner could have it used elsewhere
CREATE USER MAPPING FOR kafka_cred_owner SERVER cred_own OPTIONS (password_required 'false');
SET ROLE kafka_cred_owner;
SELECT * FROM kafka.topics('cred_own');
RESET ROLE;

-- lent on the server, which can then no longer be changed
ALTER SERVER cred_own OPTIONS (ADD password_required 'false');
SET ROLE kafka_cred_owner;
SELECT count(*) >= 0 AS reached FROM kafka.topics('cred_own');
ALTER SERVER cred_own OPTIONS (SET bootstrap_servers 'elsewhere:1');
ALTER SERVER cred_own OPTIONS (DROP password_required, SET bootstrap_servers 'elsewhere:1');
SELECT * FROM kafka.topics('cred_own');
RESET ROLE;

-- a view's owner connects
CREATE VIEW cred_view AS SELECT * FROM cred_own;
ALTER VIEW cred_view OWNER TO kafka_cred_owner;
SELECT * FROM cred_view;

-- the identity of the database server is lent by nobody in passing
ALTER SERVER cred OPTIONS (ADD security_protocol 'ssl', ADD "ssl.key.location" '/nowhere/key');
SET ROLE kafka_cred_user;
SELECT * FROM kafka.topics('cred');
RESET ROLE;
ALTER SERVER cred OPTIONS (SET security_protocol 'sasl_plaintext', DROP "ssl.key.location", ADD sasl_mechanism 'GSSAPI');
CREATE USER MAPPING FOR kafka_cred_user SERVER cred OPTIONS (sasl_username 'u', sasl_password 'p');
SET ROLE kafka_cred_user;
SELECT * FROM kafka.topics('cred');
RESET ROLE;
ALTER SERVER cred OPTIONS (SET sasl_mechanism 'OAUTHBEARER', ADD "sasl.oauthbearer.method" 'oidc');
SET ROLE kafka_cred_user;
SELECT * FROM kafka.topics('cred');
RESET ROLE;
ALTER USER MAPPING FOR kafka_cred_user SERVER cred OPTIONS (ADD "sasl.oauthbearer.client.secret" 's');
ALTER SERVER cred OPTIONS (ADD "sasl.oauthbearer.metadata.authentication.type" 'azure_imds');
SET ROLE kafka_cred_user;
SELECT * FROM kafka.topics('cred');
RESET ROLE;

-- options that have not come through the validator do not pass
CREATE FOREIGN DATA WRAPPER kafka_cred HANDLER kafka.fdw_handler;
CREATE SERVER cred_unchecked FOREIGN DATA WRAPPER kafka_cred OPTIONS (bootstrap_servers :'brokers');
SELECT * FROM kafka.topics('cred_unchecked');
ALTER FOREIGN DATA WRAPPER kafka_cred VALIDATOR kafka.fdw_validator;
SELECT count(*) >= 0 AS reached FROM kafka.topics('cred_unchecked');
CREATE FUNCTION pg_temp.smuggle(options text[]) RETURNS void LANGUAGE sql AS
$$ UPDATE pg_foreign_server SET srvoptions = array_cat(ARRAY['bootstrap.servers=127.0.0.1:1'], options) WHERE srvname = 'cred_unchecked' $$;
SELECT pg_temp.smuggle(ARRAY['plugin.library.paths=/tmp/x.so']);
SELECT * FROM kafka.topics('cred_unchecked');
SELECT pg_temp.smuggle(ARRAY['security.protocol=sasl_plaintext']);
SELECT * FROM kafka.topics('cred_unchecked');
SELECT pg_temp.smuggle(ARRAY['sasl.kerberos.principal=a$(id)']);
SELECT * FROM kafka.topics('cred_unchecked');
SELECT pg_temp.smuggle(ARRAY['sasl.password=geheim']);
SELECT * FROM kafka.topics('cred_unchecked');
SELECT pg_temp.smuggle(ARRAY['new.property=1']);
SELECT * FROM kafka.topics('cred_unchecked');

DROP FOREIGN DATA WRAPPER kafka_cred CASCADE;
DROP VIEW cred_view;
DROP SERVER cred, cred_own CASCADE;
REVOKE USAGE ON FOREIGN DATA WRAPPER kafka_fdw FROM kafka_cred_owner;
DROP ROLE kafka_cred_owner, kafka_cred_user;
