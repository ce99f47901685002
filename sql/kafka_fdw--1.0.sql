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
COMMENT ON FUNCTION kafka.fdw_handler() IS
'handler of the foreign data wrapper kafka_fdw';

CREATE FUNCTION kafka.fdw_validator(options pg_catalog.text[], catalog pg_catalog.oid)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'kafka_fdw_validator';
COMMENT ON FUNCTION kafka.fdw_validator(pg_catalog.text[], pg_catalog.oid) IS
'checks options of servers, user mappings, foreign tables and columns of the foreign data wrapper kafka_fdw';

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

CREATE FUNCTION kafka.kafka_get_watermarks(
	foreign_table pg_catalog.regclass,
	OUT partition pg_catalog.int4,
	OUT offset_low pg_catalog.int8,
	OUT offset_high pg_catalog.int8)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_get_watermarks';
COMMENT ON FUNCTION kafka.kafka_get_watermarks(pg_catalog.regclass) IS
'what kafka.watermarks returns, for the topic of a foreign table, under the name it has in adjust/kafka_fdw; needs SELECT on the table';

CREATE FUNCTION kafka.cluster(
	server pg_catalog.text,
	OUT cluster_id pg_catalog.text,
	OUT controller pg_catalog.int4,
	OUT brokers pg_catalog.int4)
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_cluster';
COMMENT ON FUNCTION kafka.cluster(pg_catalog.text) IS
'the cluster behind a foreign server: its id, the broker that is its controller (with KRaft, one that speaks for it) and the number of brokers that are alive; needs USAGE on the server';

CREATE FUNCTION kafka.brokers(
	server pg_catalog.text,
	OUT broker pg_catalog.int4,
	OUT host pg_catalog.text,
	OUT port pg_catalog.int4,
	OUT rack pg_catalog.text,
	OUT controller pg_catalog.bool)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_brokers';
COMMENT ON FUNCTION kafka.brokers(pg_catalog.text) IS
'brokers of a foreign server that are alive; rack is NULL where there is none, or with librdkafka before 2.3; needs USAGE on the server';

CREATE FUNCTION kafka.partitions(
	server pg_catalog.text,
	topic pg_catalog.text DEFAULT NULL,
	OUT topic pg_catalog.text,
	OUT partition pg_catalog.int4,
	OUT leader pg_catalog.int4,
	OUT replicas pg_catalog.int4[],
	OUT isr pg_catalog.int4[],
	OUT earliest pg_catalog.int8,
	OUT latest pg_catalog.int8,
	OUT stable pg_catalog.int8)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_partitions';
COMMENT ON FUNCTION kafka.partitions(pg_catalog.text, pg_catalog.text) IS
'partitions of a topic, or of all topics: leader, replicas (the preferred leader first) and in-sync replicas as ids of brokers; earliest offset, high watermark, and last stable offset, before which no transaction is open; a partition without a leader has NULLs; needs USAGE on the server';

CREATE FUNCTION kafka.offsets_for_time(
	server pg_catalog.text,
	topic pg_catalog.text,
	"timestamp" pg_catalog.timestamptz,
	OUT partition pg_catalog.int4,
	OUT "offset" pg_catalog.int8)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_offsets_for_time';
COMMENT ON FUNCTION kafka.offsets_for_time(pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz) IS
'first offset of each partition of a topic whose message is not older than a timestamp, NULL where there is none; needs USAGE on the server';

CREATE FUNCTION kafka.topic_config(
	server pg_catalog.text,
	topic pg_catalog.text,
	OUT name pg_catalog.text,
	OUT value pg_catalog.text,
	OUT is_default pg_catalog.bool,
	OUT source pg_catalog.text,
	OUT sensitive pg_catalog.bool,
	OUT read_only pg_catalog.bool)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_topic_config';
COMMENT ON FUNCTION kafka.topic_config(pg_catalog.text, pg_catalog.text) IS
'settings of a topic, with where they come from, such as DYNAMIC_TOPIC_CONFIG for its own; the value of a sensitive one is NULL; needs USAGE on the server';

CREATE FUNCTION kafka.broker_config(
	server pg_catalog.text,
	broker pg_catalog.int4,
	OUT name pg_catalog.text,
	OUT value pg_catalog.text,
	OUT is_default pg_catalog.bool,
	OUT source pg_catalog.text,
	OUT sensitive pg_catalog.bool,
	OUT read_only pg_catalog.bool)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_broker_config';
COMMENT ON FUNCTION kafka.broker_config(pg_catalog.text, pg_catalog.int4) IS
'settings of a broker, as kafka.topic_config() shows those of a topic; needs USAGE on the server';

CREATE FUNCTION kafka.create_topic(
	server pg_catalog.text,
	topic pg_catalog.text,
	partitions pg_catalog.int4 DEFAULT NULL,
	replication_factor pg_catalog.int4 DEFAULT NULL,
	config pg_catalog.jsonb DEFAULT NULL,
	replica_assignment pg_catalog.int4[] DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_create_topic';
COMMENT ON FUNCTION kafka.create_topic(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int4, pg_catalog.jsonb, pg_catalog.int4[]) IS
'create a topic at once, whatever becomes of the transaction; partitions and replication_factor NULL are the cluster''s defaults; config is an object of topic settings such as {"cleanup.policy": "compact"}; replica_assignment has the brokers of each partition, such as {{1,2},{2,3}}; an existing topic is an error';

CREATE FUNCTION kafka.alter_topic_config(
	server pg_catalog.text,
	topic pg_catalog.text,
	config pg_catalog.jsonb)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_alter_topic_config';
COMMENT ON FUNCTION kafka.alter_topic_config(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb) IS
'set settings of a topic at once, whatever becomes of the transaction; config is an object such as {"retention.ms": 86400000, "cleanup.policy": null}, where null resets; others stay as they are';

CREATE FUNCTION kafka.add_partitions(
	server pg_catalog.text,
	topic pg_catalog.text,
	partitions pg_catalog.int4,
	replica_assignment pg_catalog.int4[] DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_add_partitions';
COMMENT ON FUNCTION kafka.add_partitions(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int4[]) IS
'add partitions to a topic at once, so that it has so many in all, whatever becomes of the transaction; replica_assignment has the brokers of each new one';

CREATE FUNCTION kafka.delete_records(
	server pg_catalog.text,
	topic pg_catalog.text,
	partition pg_catalog.int4,
	before pg_catalog.int8,
	OUT partition pg_catalog.int4,
	OUT earliest pg_catalog.int8)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_delete_records';
COMMENT ON FUNCTION kafka.delete_records(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int8) IS
'delete the messages of a partition (NULL: of each partition) that are before an offset (NULL: all there are) at once, whatever becomes of the transaction, and return the earliest offsets that are left';

CREATE FUNCTION kafka.delete_topic(
	server pg_catalog.text,
	topic pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_delete_topic';
COMMENT ON FUNCTION kafka.delete_topic(pg_catalog.text, pg_catalog.text) IS
'delete a topic and its messages at once, whatever becomes of the transaction; an unknown topic is an error';

CREATE FUNCTION kafka.consumer_groups(
	server pg_catalog.text,
	OUT group_id pg_catalog.text,
	OUT state pg_catalog.text,
	OUT members pg_catalog.int4,
	OUT assignor pg_catalog.text,
	OUT coordinator pg_catalog.int4)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_consumer_groups';
COMMENT ON FUNCTION kafka.consumer_groups(pg_catalog.text) IS
'consumer groups of a foreign server that the user may see: state such as Stable or Empty, number of members (NULL where this librdkafka cannot tell), how partitions are assigned, and the broker that coordinates; needs USAGE on the server';

CREATE FUNCTION kafka.group_members(
	server pg_catalog.text,
	group_id pg_catalog.text,
	OUT member_id pg_catalog.text,
	OUT group_instance_id pg_catalog.text,
	OUT client_id pg_catalog.text,
	OUT host pg_catalog.text,
	OUT topic pg_catalog.text,
	OUT partitions pg_catalog.int4[])
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_group_members';
COMMENT ON FUNCTION kafka.group_members(pg_catalog.text, pg_catalog.text) IS
'members of a consumer group with the partitions that are assigned to them, a row a topic; one with NULLs for a member that has none; needs USAGE on the server';

CREATE FUNCTION kafka.group_offsets(
	server pg_catalog.text,
	group_id pg_catalog.text,
	skip_gaps pg_catalog.bool DEFAULT false,
	OUT topic pg_catalog.text,
	OUT partition pg_catalog.int4,
	OUT committed pg_catalog.int8,
	OUT latest pg_catalog.int8,
	OUT lag pg_catalog.int8,
	OUT stable pg_catalog.int8,
	OUT metadata pg_catalog.text)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_group_offsets';
COMMENT ON FUNCTION kafka.group_offsets(pg_catalog.text, pg_catalog.text, pg_catalog.bool) IS
'how far a consumer group has come, in each partition that it has committed an offset of or that is assigned to a member: the offset that it reads next, high watermark, the difference, last stable offset, and what was committed with the offset; with skip_gaps the difference begins at the next message that there is, so that it is 0 when only transaction markers and aborted messages are left; needs USAGE on the server';

CREATE FUNCTION kafka.reset_group_offsets(
	server pg_catalog.text,
	group_id pg_catalog.text,
	topic pg_catalog.text DEFAULT NULL,
	start pg_catalog.text DEFAULT NULL,
	to_offset pg_catalog.int8 DEFAULT NULL,
	shift_by pg_catalog.int8 DEFAULT NULL,
	to_time pg_catalog.timestamptz DEFAULT NULL,
	partitions pg_catalog.int4[] DEFAULT NULL,
	dry_run pg_catalog.bool DEFAULT true,
	OUT topic pg_catalog.text,
	OUT partition pg_catalog.int4,
	OUT old_offset pg_catalog.int8,
	OUT new_offset pg_catalog.int8)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_reset_group_offsets';
COMMENT ON FUNCTION kafka.reset_group_offsets(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.timestamptz, pg_catalog.int4[], pg_catalog.bool) IS
'show where the offsets of a consumer group would go, and with dry_run => false move them there at once, whatever becomes of the transaction: start is earliest or latest, to_offset an offset, shift_by a difference, to_time the first message not older, never beyond what there is; topic NULL is all that the group has offsets of; an error while the group has members';

CREATE FUNCTION kafka.delete_group(
	server pg_catalog.text,
	group_id pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_delete_group';
COMMENT ON FUNCTION kafka.delete_group(pg_catalog.text, pg_catalog.text) IS
'delete a consumer group and its offsets at once, whatever becomes of the transaction; an error while it has members';

CREATE FUNCTION kafka.acls(
	server pg_catalog.text,
	OUT resource_type pg_catalog.text,
	OUT resource_name pg_catalog.text,
	OUT principal pg_catalog.text,
	OUT operation pg_catalog.text,
	OUT permission pg_catalog.text,
	OUT host pg_catalog.text,
	OUT pattern_type pg_catalog.text)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_acls';
COMMENT ON FUNCTION kafka.acls(pg_catalog.text) IS
'access control lists of a foreign server; needs USAGE on the server';

CREATE FUNCTION kafka.create_acl(
	server pg_catalog.text,
	resource_type pg_catalog.text,
	resource_name pg_catalog.text,
	principal pg_catalog.text,
	operation pg_catalog.text,
	permission pg_catalog.text DEFAULT 'allow',
	host pg_catalog.text DEFAULT '*',
	pattern_type pg_catalog.text DEFAULT 'literal')
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_create_acl';
COMMENT ON FUNCTION kafka.create_acl(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
'create an ACL at once, whatever becomes of the transaction: resource_type is topic, group, cluster or (librdkafka 2.6) transactional_id, principal such as User:alice, operation such as read or all, permission allow or deny, pattern_type literal or prefixed; one that exists already stays';

CREATE FUNCTION kafka.delete_acl(
	server pg_catalog.text,
	resource_type pg_catalog.text,
	resource_name pg_catalog.text,
	principal pg_catalog.text,
	operation pg_catalog.text,
	permission pg_catalog.text DEFAULT 'allow',
	host pg_catalog.text DEFAULT '*',
	pattern_type pg_catalog.text DEFAULT 'literal')
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_delete_acl';
COMMENT ON FUNCTION kafka.delete_acl(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
'delete an ACL at once, whatever becomes of the transaction; all of its fields must match; an error if there is none';

CREATE FUNCTION kafka.tail(
	server pg_catalog.text,
	topic pg_catalog.text,
	n pg_catalog.int4 DEFAULT 10,
	per_partition pg_catalog.bool DEFAULT false,
	partitions pg_catalog.int4[] DEFAULT NULL,
	OUT partition pg_catalog.int4,
	OUT "offset" pg_catalog.int8,
	OUT "timestamp" pg_catalog.timestamptz,
	OUT key pg_catalog.text,
	OUT value pg_catalog.text,
	OUT headers kafka.header[],
	OUT key_bytes pg_catalog.bytea,
	OUT value_bytes pg_catalog.bytea)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_tail';
COMMENT ON FUNCTION kafka.tail(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.bool, pg_catalog.int4[]) IS
'the last n messages of a topic by timestamp, or of each of its partitions by offset, the newest last; key and value are NULL also where the bytes are not text; needs USAGE on the server';

CREATE FUNCTION kafka.produce(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.text,
	key pg_catalog.anycompatible DEFAULT NULL,
	headers pg_catalog."any" DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce';
CREATE FUNCTION kafka.produce(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.bytea,
	key pg_catalog.anycompatible DEFAULT NULL,
	headers pg_catalog."any" DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce';
CREATE FUNCTION kafka.produce(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.json,
	key pg_catalog.anycompatible DEFAULT NULL,
	headers pg_catalog."any" DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce';
CREATE FUNCTION kafka.produce(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.jsonb,
	key pg_catalog.anycompatible DEFAULT NULL,
	headers pg_catalog."any" DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce';
COMMENT ON FUNCTION kafka.produce(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message, when the transaction commits or, if kafka_fdw.delivery or the server''s option delivery is immediate, at once; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; the key is bytes (bytea) or the text of any other type; headers is an object of strings, nulls, or arrays of these, or kafka.header[]; needs USAGE on the server';
COMMENT ON FUNCTION kafka.produce(pg_catalog.text, pg_catalog.text, pg_catalog.bytea, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message, when the transaction commits or, if kafka_fdw.delivery or the server''s option delivery is immediate, at once; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; the key is bytes (bytea) or the text of any other type; headers is an object of strings, nulls, or arrays of these, or kafka.header[]; needs USAGE on the server';
COMMENT ON FUNCTION kafka.produce(pg_catalog.text, pg_catalog.text, pg_catalog.json, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message, when the transaction commits or, if kafka_fdw.delivery or the server''s option delivery is immediate, at once; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; the key is bytes (bytea) or the text of any other type; headers is an object of strings, nulls, or arrays of these, or kafka.header[]; needs USAGE on the server';
COMMENT ON FUNCTION kafka.produce(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message, when the transaction commits or, if kafka_fdw.delivery or the server''s option delivery is immediate, at once; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; the key is bytes (bytea) or the text of any other type; headers is an object of strings, nulls, or arrays of these, or kafka.header[]; needs USAGE on the server';

CREATE FUNCTION kafka.produce_now(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.text,
	key pg_catalog.anycompatible DEFAULT NULL,
	headers pg_catalog."any" DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL,
	OUT partition pg_catalog.int4,
	OUT "offset" pg_catalog.int8,
	OUT "timestamp" pg_catalog.timestamptz)
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce_now';
CREATE FUNCTION kafka.produce_now(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.bytea,
	key pg_catalog.anycompatible DEFAULT NULL,
	headers pg_catalog."any" DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL,
	OUT partition pg_catalog.int4,
	OUT "offset" pg_catalog.int8,
	OUT "timestamp" pg_catalog.timestamptz)
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce_now';
CREATE FUNCTION kafka.produce_now(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.json,
	key pg_catalog.anycompatible DEFAULT NULL,
	headers pg_catalog."any" DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL,
	OUT partition pg_catalog.int4,
	OUT "offset" pg_catalog.int8,
	OUT "timestamp" pg_catalog.timestamptz)
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce_now';
CREATE FUNCTION kafka.produce_now(
	server pg_catalog.text,
	topic pg_catalog.text,
	value pg_catalog.jsonb,
	key pg_catalog.anycompatible DEFAULT NULL,
	headers pg_catalog."any" DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	"timestamp" pg_catalog.timestamptz DEFAULT NULL,
	OUT partition pg_catalog.int4,
	OUT "offset" pg_catalog.int8,
	OUT "timestamp" pg_catalog.timestamptz)
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce_now';
COMMENT ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message at once, whatever becomes of the transaction, wait for its acknowledgement by all in-sync replicas, and return where it is and its timestamp; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; the key is bytes (bytea) or the text of any other type; headers is an object of strings, nulls, or arrays of these, or kafka.header[]; needs USAGE on the server';
COMMENT ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.bytea, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message at once, whatever becomes of the transaction, wait for its acknowledgement by all in-sync replicas, and return where it is and its timestamp; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; the key is bytes (bytea) or the text of any other type; headers is an object of strings, nulls, or arrays of these, or kafka.header[]; needs USAGE on the server';
COMMENT ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.json, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message at once, whatever becomes of the transaction, wait for its acknowledgement by all in-sync replicas, and return where it is and its timestamp; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; the key is bytes (bytea) or the text of any other type; headers is an object of strings, nulls, or arrays of these, or kafka.header[]; needs USAGE on the server';
COMMENT ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) IS
'send one message at once, whatever becomes of the transaction, wait for its acknowledgement by all in-sync replicas, and return where it is and its timestamp; value NULL is a tombstone, key NULL no key, partition NULL lets the partitioner choose; the key is bytes (bytea) or the text of any other type; headers is an object of strings, nulls, or arrays of these, or kafka.header[]; needs USAGE on the server';

CREATE FUNCTION kafka.produce_row()
RETURNS pg_catalog.trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_produce_row';
COMMENT ON FUNCTION kafka.produce_row() IS
'AFTER trigger that sends rows as JSON: kafka.produce_row(server, topic, key columns...); DELETE, and UPDATE of the key, send a tombstone with the old key; FOR EACH ROW, or FOR EACH STATEMENT with transition tables; needs USAGE on the server of who changes the table';

CREATE FUNCTION kafka.connections(
	OUT server pg_catalog.text,
	OUT client pg_catalog.text,
	OUT active pg_catalog.bool,
	OUT idle pg_catalog.interval)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_connections';
COMMENT ON FUNCTION kafka.connections() IS
'connections of this session: the foreign server (NULL when it has been dropped), consumer or producer, whether a running statement uses it, and for how long nobody has';

CREATE FUNCTION kafka.disconnect_all()
RETURNS pg_catalog.int4
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_disconnect_all';
COMMENT ON FUNCTION kafka.disconnect_all() IS
'close the connections of this session that no running statement uses, and return how many they were';

-- These change what others see in Kafka with the credentials of a mapping that
-- may be PUBLIC's, so nobody gets them without being named.
REVOKE ALL ON FUNCTION kafka.create_topic(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int4, pg_catalog.jsonb, pg_catalog.int4[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.alter_topic_config(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.add_partitions(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int4[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.delete_records(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int8) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.delete_topic(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.reset_group_offsets(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.timestamptz, pg_catalog.int4[], pg_catalog.bool) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.delete_group(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.create_acl(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.delete_acl(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce_row() FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce(pg_catalog.text, pg_catalog.text, pg_catalog.bytea, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce(pg_catalog.text, pg_catalog.text, pg_catalog.json, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.bytea, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.json, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION kafka.produce_now(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.anycompatible, pg_catalog."any", pg_catalog.int4, pg_catalog.timestamptz) FROM PUBLIC;

GRANT USAGE ON SCHEMA kafka TO PUBLIC;

--
-- Subscriptions
--

CREATE TABLE kafka.subscription (
	subscription	pg_catalog.text NOT NULL PRIMARY KEY,
	id				pg_catalog.int4 NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
	owner			pg_catalog.regrole NOT NULL,
	source			pg_catalog.regclass NOT NULL,
	target			pg_catalog.regclass,
	topic			pg_catalog.text NOT NULL,
	command			pg_catalog.text,
	search_path		pg_catalog.text,
	mode			pg_catalog.text NOT NULL,
	key_columns		pg_catalog.text[],
	workers			pg_catalog.int4 NOT NULL,
	partitions		pg_catalog.int4[],
	batch_rows		pg_catalog.int4 NOT NULL,
	batch_interval	pg_catalog.interval NOT NULL,
	on_error		pg_catalog.text NOT NULL,
	dead_letter_topic	pg_catalog.text,
	error_limit		pg_catalog.int4,
	group_id		pg_catalog.text,
	enabled			pg_catalog.bool NOT NULL,
	identity		pg_catalog.text NOT NULL
);
COMMENT ON TABLE kafka.subscription IS
'subscriptions, which keep a table up to date from a Kafka topic; changed by functions such as kafka.create_subscription() only';
COMMENT ON COLUMN kafka.subscription.subscription IS
'name';
COMMENT ON COLUMN kafka.subscription.id IS
'number that is never used again, not even for a subscription of the same name';
COMMENT ON COLUMN kafka.subscription.owner IS
'role whose rights the worker has';
COMMENT ON COLUMN kafka.subscription.source IS
'foreign table that says how messages become rows';
COMMENT ON COLUMN kafka.subscription.target IS
'table that the rows go to; NULL where a command without target says what becomes of them';
COMMENT ON COLUMN kafka.subscription.topic IS
'the source''s option topic, which the positions belong to';
COMMENT ON COLUMN kafka.subscription.command IS
'SQL that is run for each batch in place of the insert; NULL for none';
COMMENT ON COLUMN kafka.subscription.search_path IS
'search_path of the session that has set the command, which its names are looked up in';
COMMENT ON COLUMN kafka.subscription.mode IS
'insert, or upsert: the last message of a key wins, and one without a value deletes';
COMMENT ON COLUMN kafka.subscription.key_columns IS
'the target''s columns that identify a row in mode upsert';
COMMENT ON COLUMN kafka.subscription.workers IS
'number of processes that share the partitions';
COMMENT ON COLUMN kafka.subscription.partitions IS
'partitions that are read; NULL for all, also those added later';
COMMENT ON COLUMN kafka.subscription.batch_rows IS
'messages, or rows if a message has several, after which a transaction is committed';
COMMENT ON COLUMN kafka.subscription.batch_interval IS
'time after which a message is committed, even if there are fewer';
COMMENT ON COLUMN kafka.subscription.on_error IS
'what becomes of a message that cannot be stored: stop, skip or dead_letter';
COMMENT ON COLUMN kafka.subscription.dead_letter_topic IS
'topic that such messages go to; NULL for the table kafka.dead_letter';
COMMENT ON COLUMN kafka.subscription.error_limit IS
'number of such messages that are passed by; the next one stops the subscription; NULL for any number';
COMMENT ON COLUMN kafka.subscription.group_id IS
'consumer group that shows the positions to Kafka''s tools; NULL for none';
COMMENT ON COLUMN kafka.subscription.enabled IS
'workers read the topic; false also after an error that has to be mended';
COMMENT ON COLUMN kafka.subscription.identity IS
'cluster and database that the subscription was last enabled in; a copy of them does not run it';

CREATE TABLE kafka.subscription_position (
	subscription	pg_catalog.text NOT NULL
					REFERENCES kafka.subscription ON UPDATE CASCADE ON DELETE CASCADE,
	topic			pg_catalog.text NOT NULL,
	partition		pg_catalog.int4 NOT NULL,
	next_offset		pg_catalog.int8 NOT NULL,
	proof_offset	pg_catalog.int8,
	proof_timestamp	pg_catalog.int8,
	proof_hash		pg_catalog.int8,
	proof_leader_epoch	pg_catalog.int4,
	bad_messages	pg_catalog.int8 NOT NULL DEFAULT 0,
	PRIMARY KEY (subscription, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE kafka.subscription_position IS
'how far the partitions of a subscription''s topics have been read; changes in the transaction that stores the rows';
COMMENT ON COLUMN kafka.subscription_position.next_offset IS
'offset that is read next: rows of all offsets below are in the target';
COMMENT ON COLUMN kafka.subscription_position.proof_offset IS
'offset of a message that was read, usually the last one: while it is the same in Kafka, the topic is the same; NULL for none yet';
COMMENT ON COLUMN kafka.subscription_position.proof_timestamp IS
'its timestamp, in milliseconds since 1970';
COMMENT ON COLUMN kafka.subscription_position.proof_hash IS
'hash of its key and value';
COMMENT ON COLUMN kafka.subscription_position.proof_leader_epoch IS
'epoch of its partition''s leader then; -1 where librdkafka does not tell';

COMMENT ON COLUMN kafka.subscription_position.bad_messages IS
'messages that could not be stored and were passed by since the subscription was last enabled; error_limit is about their sum';

-- Not readable by all, for an error may quote data.
CREATE TABLE kafka.subscription_error (
	subscription	pg_catalog.text NOT NULL PRIMARY KEY
					REFERENCES kafka.subscription ON UPDATE CASCADE ON DELETE CASCADE,
	error			pg_catalog.text NOT NULL,
	raised_at		pg_catalog.timestamptz NOT NULL,
	topic			pg_catalog.text,
	partition		pg_catalog.int4,
	"offset"		pg_catalog.int8
);
COMMENT ON TABLE kafka.subscription_error IS
'the error that has stopped a subscription; kafka.stat_subscription shows it to those who may see it';
COMMENT ON COLUMN kafka.subscription_error.topic IS
'topic of the message that it is about, with its partition and offset; NULL where it is about none';

-- Bytes as they came.  No CASCADE: there may be no other copy of a message.
CREATE TABLE kafka.dead_letter (
	id				pg_catalog.int8 NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	subscription	pg_catalog.text NOT NULL
					REFERENCES kafka.subscription ON UPDATE CASCADE,
	topic			pg_catalog.text NOT NULL,
	partition		pg_catalog.int4 NOT NULL,
	"offset"		pg_catalog.int8 NOT NULL,
	"timestamp"		pg_catalog.timestamptz,
	timestamp_type	pg_catalog.text,
	leader_epoch	pg_catalog.int4,
	key				pg_catalog.bytea,
	value			pg_catalog.bytea,
	headers			kafka.header[] NOT NULL,
	sqlstate		pg_catalog.text NOT NULL,
	message			pg_catalog.text,
	detail			pg_catalog.text,
	context			pg_catalog.text,
	attempts		pg_catalog.int4 NOT NULL DEFAULT 1,
	tried_at		pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	UNIQUE NULLS NOT DISTINCT (subscription, topic, partition, "offset", "timestamp")
);
COMMENT ON TABLE kafka.dead_letter IS
'messages that subscriptions could not store, with the reason; the owner of a subscription, and members of that role, see and may delete its messages; kafka.retry_dead_letters() tries them again';
COMMENT ON COLUMN kafka.dead_letter.key IS
'the bytes of the key; NULL for none';
COMMENT ON COLUMN kafka.dead_letter.value IS
'the bytes of the value; NULL for a tombstone';
COMMENT ON COLUMN kafka.dead_letter.sqlstate IS
'SQLSTATE of the error';
COMMENT ON COLUMN kafka.dead_letter.message IS
'what the error says; detail and context say more, such as the column';
COMMENT ON COLUMN kafka.dead_letter.attempts IS
'how often the message was tried';
COMMENT ON COLUMN kafka.dead_letter.tried_at IS
'when the message was last tried';

-- pg_restore --jobs loads tables of an extension in any order.  So these
-- references are not checked, which nobody but the extension could violate; what
-- follows from changes of kafka.subscription does.
ALTER TABLE kafka.subscription_position DISABLE TRIGGER ALL;
ALTER TABLE kafka.dead_letter DISABLE TRIGGER ALL;

ALTER TABLE kafka.dead_letter ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON kafka.dead_letter
	USING (EXISTS (
		SELECT FROM kafka.subscription AS s
		WHERE s.subscription OPERATOR(pg_catalog.=) dead_letter.subscription
			AND pg_catalog.pg_has_role(s.owner, 'USAGE')));
COMMENT ON POLICY owner ON kafka.dead_letter IS
'who has the rights of the subscription''s owner';
GRANT SELECT, DELETE ON kafka.dead_letter TO PUBLIC;

GRANT SELECT ON kafka.subscription, kafka.subscription_position TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('kafka.subscription', '');
SELECT pg_catalog.pg_extension_config_dump('kafka.subscription_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('kafka.subscription_position', '');
SELECT pg_catalog.pg_extension_config_dump('kafka.dead_letter', '');
SELECT pg_catalog.pg_extension_config_dump('kafka.dead_letter_id_seq', '');

CREATE FUNCTION kafka.create_subscription(
	subscription pg_catalog.text,
	source pg_catalog.regclass,
	target pg_catalog.regclass DEFAULT NULL,
	start pg_catalog.text DEFAULT 'earliest',
	command pg_catalog.text DEFAULT NULL,
	mode pg_catalog.text DEFAULT 'insert',
	key_columns pg_catalog.text[] DEFAULT NULL,
	workers pg_catalog.int4 DEFAULT 1,
	partitions pg_catalog.int4[] DEFAULT NULL,
	batch_rows pg_catalog.int4 DEFAULT NULL,
	batch_interval pg_catalog.interval DEFAULT '1 s',
	on_error pg_catalog.text DEFAULT 'stop',
	dead_letter_topic pg_catalog.text DEFAULT NULL,
	error_limit pg_catalog.int4 DEFAULT NULL,
	group_id pg_catalog.text DEFAULT NULL,
	enabled pg_catalog.bool DEFAULT true)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_create_subscription';
COMMENT ON FUNCTION kafka.create_subscription(pg_catalog.text, pg_catalog.regclass, pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text[], pg_catalog.int4, pg_catalog.int4[], pg_catalog.int4, pg_catalog.interval, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.bool) IS
'have a worker insert the rows of a foreign table into a table, each exactly once, as messages arrive; columns are matched by name; start is earliest, latest, a timestamp, or positions as JSON; workers share the partitions; rows are committed after batch_rows (1 to 1000000; by default 100000, or 20000 with a command or mode upsert) messages or batch_interval (up to 1 hour); needs SELECT on source, USAGE on its server and INSERT on target; an error if Kafka cannot be reached';

CREATE FUNCTION kafka.alter_subscription(
	subscription pg_catalog.text,
	source pg_catalog.regclass DEFAULT NULL,
	target pg_catalog.regclass DEFAULT NULL,
	name pg_catalog.text DEFAULT NULL,
	command pg_catalog.text DEFAULT NULL,
	mode pg_catalog.text DEFAULT NULL,
	key_columns pg_catalog.text[] DEFAULT NULL,
	workers pg_catalog.int4 DEFAULT NULL,
	partitions pg_catalog.int4[] DEFAULT NULL,
	batch_rows pg_catalog.int4 DEFAULT NULL,
	batch_interval pg_catalog.interval DEFAULT NULL,
	on_error pg_catalog.text DEFAULT NULL,
	dead_letter_topic pg_catalog.text DEFAULT NULL,
	error_limit pg_catalog.int4 DEFAULT NULL,
	group_id pg_catalog.text DEFAULT NULL,
	owner pg_catalog.regrole DEFAULT NULL,
	reset pg_catalog.text[] DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_alter_subscription';
COMMENT ON FUNCTION kafka.alter_subscription(pg_catalog.text, pg_catalog.regclass, pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text[], pg_catalog.int4, pg_catalog.int4[], pg_catalog.int4, pg_catalog.interval, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.regrole, pg_catalog.text[]) IS
'change settings of a subscription, its name or its owner; NULL leaves one as it is, reset names those that get their defaults; source also takes over the topics that the source now has; topics and partitions that come in are read from their earliest offset; waits for the batch under way';

CREATE FUNCTION kafka.seek_subscription(
	subscription pg_catalog.text,
	"position" pg_catalog.text,
	partition pg_catalog.int4 DEFAULT NULL,
	topic pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_seek_subscription';
COMMENT ON FUNCTION kafka.seek_subscription(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text) IS
'move positions of a subscription, or of one topic or partition, to earliest, latest, an offset, a timestamp, or positions as JSON; messages are read again, or never; waits for the batch under way';

CREATE FUNCTION kafka.skip_message(
	subscription pg_catalog.text,
	partition pg_catalog.int4,
	"offset" pg_catalog.int8,
	topic pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_skip_message';
COMMENT ON FUNCTION kafka.skip_message(pg_catalog.text, pg_catalog.int4, pg_catalog.int8, pg_catalog.text) IS
'move a subscription past the message that has stopped it, which is not applied; an error if it is at another one; kafka.enable_subscription() goes on';

CREATE FUNCTION kafka.drop_subscription(
	subscription pg_catalog.text,
	if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_drop_subscription';
COMMENT ON FUNCTION kafka.drop_subscription(pg_catalog.text, pg_catalog.bool) IS
'drop a subscription with its positions; the target keeps its rows; waits for the batch under way';

CREATE FUNCTION kafka.subscription_on_drop()
RETURNS pg_catalog.event_trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_subscription_on_drop';
COMMENT ON FUNCTION kafka.subscription_on_drop() IS
'event trigger: what is source or target of a subscription is not dropped, or, with CASCADE, together with the subscription';

CREATE EVENT TRIGGER kafka_subscription_drop ON sql_drop
EXECUTE FUNCTION kafka.subscription_on_drop();
COMMENT ON EVENT TRIGGER kafka_subscription_drop IS
'what is source or target of a Kafka subscription is not dropped, or, with CASCADE, together with the subscription';

CREATE EVENT TRIGGER kafka_subscription_drop_owned ON ddl_command_end
WHEN TAG IN ('DROP OWNED')
EXECUTE FUNCTION kafka.subscription_on_drop();
COMMENT ON EVENT TRIGGER kafka_subscription_drop_owned IS
'DROP OWNED drops the Kafka subscriptions of the role too';

CREATE FUNCTION kafka.enable_subscription(subscription pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_enable_subscription';
COMMENT ON FUNCTION kafka.enable_subscription(pg_catalog.text) IS
'have a disabled or stopped subscription continue at its positions';

CREATE FUNCTION kafka.disable_subscription(subscription pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_disable_subscription';
COMMENT ON FUNCTION kafka.disable_subscription(pg_catalog.text) IS
'end a subscription''s worker; waits for the batch under way; nothing is written after the transaction has committed';

CREATE FUNCTION kafka.wait_for_subscription(
	subscription pg_catalog.text,
	timeout pg_catalog.interval DEFAULT '1 min')
RETURNS pg_catalog.bool
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_wait_for_subscription';
COMMENT ON FUNCTION kafka.wait_for_subscription(pg_catalog.text, pg_catalog.interval) IS
'wait until everything that was in the topic at the time of the call is in the target, and return true; false after timeout (NULL: no limit); an error if the subscription is disabled or stopped, or in a REPEATABLE READ transaction';

CREATE FUNCTION kafka.retry_dead_letters(
	subscription pg_catalog.text,
	"limit" pg_catalog.int4 DEFAULT NULL,
	ids pg_catalog.int8[] DEFAULT NULL,
	OUT succeeded pg_catalog.int8,
	OUT failed pg_catalog.int8)
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_retry_dead_letters';
COMMENT ON FUNCTION kafka.retry_dead_letters(pg_catalog.text, pg_catalog.int4, pg_catalog.int8[]) IS
'apply messages of kafka.dead_letter as the subscription would now, in the order they were put there, at most limit of them or those with these ids; what succeeds is deleted, what fails again keeps the new error';

CREATE FUNCTION kafka.subscription_stats(
	OUT id pg_catalog.int4,
	OUT pid pg_catalog.int4,
	OUT state pg_catalog.text,
	OUT partitions pg_catalog.int4,
	OUT messages pg_catalog.int8,
	OUT "rows" pg_catalog.int8,
	OUT bytes pg_catalog.int8,
	OUT batches pg_catalog.int8,
	OUT bad_messages pg_catalog.int8,
	OUT retries pg_catalog.int8,
	OUT lag_messages pg_catalog.int8,
	OUT last_message_time pg_catalog.timestamptz,
	OUT last_commit_time pg_catalog.timestamptz,
	OUT last_error pg_catalog.text,
	OUT pids pg_catalog.int4[],
	OUT messages_per_second pg_catalog.float8,
	OUT insert_mode pg_catalog.text,
	OUT memory pg_catalog.int8,
	OUT stats_since pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'kafka_subscription_stats';
COMMENT ON FUNCTION kafka.subscription_stats() IS
'what the workers of this database say of themselves; see kafka.stat_subscription';

CREATE FUNCTION kafka.subscription_is_copy(identity pg_catalog.text)
RETURNS pg_catalog.bool
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'kafka_subscription_is_copy';
COMMENT ON FUNCTION kafka.subscription_is_copy(pg_catalog.text) IS
'whether kafka.subscription.identity is that of another cluster or database than this one';

CREATE FUNCTION kafka.stat_subscription_reset(subscription pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_stat_subscription_reset';
COMMENT ON FUNCTION kafka.stat_subscription_reset(pg_catalog.text) IS
'begin the counts of kafka.stat_subscription anew, for one subscription or for all that the user owns';

CREATE FUNCTION kafka.subscription_ends(
	subscription pg_catalog.text,
	OUT topic pg_catalog.text,
	OUT partition pg_catalog.int4,
	OUT earliest_offset pg_catalog.int8,
	OUT end_offset pg_catalog.int8)
RETURNS SETOF pg_catalog.record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'kafka_subscription_ends';
COMMENT ON FUNCTION kafka.subscription_ends(pg_catalog.text) IS
'ask Kafka what the partitions of a subscription hold; nothing for a subscription whose owner''s rights the user does not have, unless they are in pg_read_all_stats';

CREATE VIEW kafka.subscription_lag AS
SELECT
	s.subscription,
	e.topic,
	e.partition,
	p.next_offset,
	e.earliest_offset,
	e.end_offset,
	GREATEST(e.end_offset OPERATOR(pg_catalog.-) COALESCE(p.next_offset, 0), 0) AS lag_messages
FROM kafka.subscription AS s
	CROSS JOIN LATERAL kafka.subscription_ends(s.subscription) AS e
	LEFT JOIN kafka.subscription_position AS p
		ON p.subscription OPERATOR(pg_catalog.=) s.subscription
			AND p.topic OPERATOR(pg_catalog.=) e.topic
			AND p.partition OPERATOR(pg_catalog.=) e.partition;
COMMENT ON VIEW kafka.subscription_lag IS
'how far each partition has been read, and what Kafka has at the moment of the query; an error if Kafka does not answer; for the owner and members of pg_read_all_stats only';
COMMENT ON COLUMN kafka.subscription_lag.next_offset IS
'offset that is read next; NULL for a partition that has not been found yet';
COMMENT ON COLUMN kafka.subscription_lag.end_offset IS
'offset after the last message that can be read: under read_committed the last stable offset';
GRANT SELECT ON kafka.subscription_lag TO PUBLIC;

CREATE VIEW kafka.stat_subscription AS
SELECT
	s.subscription,
	w.pid,
	w.pids,
	CASE
		WHEN pg_catalog.pg_is_in_recovery() THEN 'standby'
		WHEN kafka.subscription_is_copy(s.identity) THEN 'copied'
		WHEN s.enabled THEN COALESCE(w.state, 'no worker')
		WHEN e.error IS NOT NULL THEN 'stopped'
		ELSE 'disabled'
	END AS state,
	w.partitions,
	w.messages,
	w."rows",
	w.bytes,
	w.batches,
	w.bad_messages,
	w.retries,
	w.messages_per_second,
	w.lag_messages,
	CASE
		WHEN w.lag_messages OPERATOR(pg_catalog.=) 0 THEN pg_catalog.make_interval()
		WHEN w.lag_messages OPERATOR(pg_catalog.>) 0 THEN GREATEST(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) w.last_message_time, pg_catalog.make_interval())
	END AS lag_time,
	w.last_message_time,
	w.last_commit_time,
	COALESCE(w.last_error,
		CASE
			WHEN pg_catalog.pg_has_role(s.owner, 'USAGE')
				OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
			THEN e.error
		END,
		CASE
			WHEN kafka.subscription_is_copy(s.identity)
				AND NOT pg_catalog.pg_is_in_recovery()
			THEN 'copy of a subscription of another cluster or database; kafka.enable_subscription() runs it here, too'
		END) AS last_error,
	w.insert_mode,
	w.memory,
	w.stats_since
FROM kafka.subscription AS s
	LEFT JOIN kafka.subscription_stats() AS w USING (id)
	LEFT JOIN kafka.subscription_error AS e USING (subscription);
COMMENT ON VIEW kafka.stat_subscription IS
'subscriptions and what their workers do; counts begin with the server''s start, kafka.enable_subscription() or kafka.stat_subscription_reset()';
COMMENT ON COLUMN kafka.stat_subscription.pid IS
'process of the first worker';
COMMENT ON COLUMN kafka.stat_subscription.pids IS
'processes of all workers';
COMMENT ON COLUMN kafka.stat_subscription.messages_per_second IS
'messages applied in about the last 5 seconds, per second';
COMMENT ON COLUMN kafka.stat_subscription.lag_time IS
'age of the last message applied, while there are others to be applied; zero when there are none';
COMMENT ON COLUMN kafka.stat_subscription.insert_mode IS
'whether many rows are stored at once, or single ones and why';
COMMENT ON COLUMN kafka.stat_subscription.memory IS
'bytes that are the workers'' own, messages fetched ahead included; NULL where the system does not tell';
COMMENT ON COLUMN kafka.stat_subscription.stats_since IS
'when counting began';
COMMENT ON COLUMN kafka.stat_subscription.state IS
'starting, waiting for a process, connecting, idle (has applied all there is), reading, applying, waiting for a lock, retrying (after an error, by itself), stopped (by an error that has to be mended), disabled, copied (from another cluster or database, and not enabled here), standby (this server is one), or no worker';
COMMENT ON COLUMN kafka.stat_subscription.messages IS
'messages read and applied';
COMMENT ON COLUMN kafka.stat_subscription."rows" IS
'rows inserted';
COMMENT ON COLUMN kafka.stat_subscription.bytes IS
'bytes of their keys and values';
COMMENT ON COLUMN kafka.stat_subscription.batches IS
'transactions committed with messages';
COMMENT ON COLUMN kafka.stat_subscription.bad_messages IS
'messages of these that could not be stored and were skipped or put aside';
COMMENT ON COLUMN kafka.stat_subscription.retries IS
'how often the worker ended with an error that may pass by itself, and started again';
COMMENT ON COLUMN kafka.stat_subscription.lag_messages IS
'offsets between the positions and the ends of the partitions, as far as the worker knows; NULL without a worker';
COMMENT ON COLUMN kafka.stat_subscription.last_message_time IS
'timestamp of the last message applied';
COMMENT ON COLUMN kafka.stat_subscription.last_error IS
'the error that stopped the subscription, or that the worker last ended with; for the owner and members of pg_read_all_stats only';

GRANT SELECT ON kafka.stat_subscription TO PUBLIC;
