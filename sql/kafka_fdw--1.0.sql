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

CREATE FUNCTION kafka.topics(
	server pg_catalog.text,
	OUT topic pg_catalog.text,
	OUT partitions pg_catalog.int4,
	OUT replication_factor pg_catalog.int4)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_topics';
COMMENT ON FUNCTION kafka.topics(pg_catalog.text) IS
'topics of a foreign server that the user may see, with the number of partitions and of replicas of each; needs USAGE on the server';

CREATE FUNCTION kafka.watermarks(
	server pg_catalog.text,
	topic pg_catalog.text,
	OUT partition pg_catalog.int4,
	OUT low pg_catalog.int8,
	OUT high pg_catalog.int8)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_watermarks';
COMMENT ON FUNCTION kafka.watermarks(pg_catalog.text, pg_catalog.text) IS
'earliest offset and high watermark (the offset after the last message) of each partition of a topic; needs USAGE on the server; an unknown topic is an error';

CREATE FUNCTION kafka.create_topic(
	server pg_catalog.text,
	topic pg_catalog.text,
	partitions pg_catalog.int4 DEFAULT 1,
	replication_factor pg_catalog.int4 DEFAULT NULL,
	config pg_catalog.jsonb DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_create_topic';
COMMENT ON FUNCTION kafka.create_topic(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int4, pg_catalog.jsonb) IS
'create a topic at once, whatever becomes of the transaction; replication_factor NULL is the cluster''s default; config is an object of topic settings such as {"cleanup.policy": "compact"}; an existing topic is an error';

CREATE FUNCTION kafka.delete_topic(
	server pg_catalog.text,
	topic pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_delete_topic';
COMMENT ON FUNCTION kafka.delete_topic(pg_catalog.text, pg_catalog.text) IS
'delete a topic and its messages at once, whatever becomes of the transaction; an unknown topic is an error';

CREATE FUNCTION kafka.produce_now(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.text,
	key pg_catalog.text DEFAULT NULL,
	headers pg_catalog.jsonb DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL,
	OUT partition pg_catalog.int4,
	OUT "offset" pg_catalog.int8)
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce_now';
COMMENT ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message at once, whatever becomes of the transaction, wait for its acknowledgement by all in-sync replicas, and return where it is; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; headers is an object of strings, nulls, or arrays of these; needs USAGE on the server';

-- These change what others see in Kafka with the credentials of a mapping that
-- may be PUBLIC's, so nobody gets them without being named.
REVOKE ALL ON FUNCTION kafka.create_topic(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int4, pg_catalog.jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.delete_topic(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;

GRANT USAGE ON SCHEMA kafka TO PUBLIC;

--
-- Subscriptions
--

-- (kafka.subscription, subscription_position and their functions)
