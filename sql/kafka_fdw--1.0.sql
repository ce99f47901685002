/* sql/kafka_fdw--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION kafka_fdw" to load this file. \quit

--
-- Foreign data wrapper
--

CREATE TYPE kafka.header AS (
	name	text,
	value	bytea
);
COMMENT ON TYPE kafka.header IS
'one header of a Kafka message; value NULL is a null value';

CREATE FUNCTION kafka.fdw_handler()
RETURNS pg_catalog.fdw_handler
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'kafka_fdw_handler';

CREATE FUNCTION kafka.fdw_validator(options pg_catalog.text[], catalog pg_catalog.oid)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'kafka_fdw_validator';

CREATE FOREIGN DATA WRAPPER kafka_fdw
	HANDLER kafka.fdw_handler
	VALIDATOR kafka.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER kafka_fdw IS
'foreign data wrapper for Apache Kafka topics';

--
-- Topics and messages
--

-- (kafka.topics, watermarks, create_topic, delete_topic, produce_now)

--
-- Subscriptions
--

-- (kafka.subscription, subscription_position and their functions)
