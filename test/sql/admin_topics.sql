-- Brokers, topics, partitions, offsets and settings by function.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER adm FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');

-- the cluster
SELECT length(cluster_id) AS id_length, c.controller, brokers FROM kafka.cluster('adm') AS c;
SELECT broker, host, port > 0 AS port, rack, controller FROM kafka.brokers('adm');
SELECT name, value, is_default, source, sensitive, read_only FROM kafka.broker_config('adm', 1)
	WHERE name IN ('node.id', 'ssl.keystore.password', 'num.io.threads') ORDER BY 1;
SELECT * FROM kafka.broker_config('adm', 99);

-- partitions: number, defaults, replicas
SELECT kafka.create_topic('adm', 'adm_a', 2);
SELECT kafka.create_topic('adm', 'adm_default');
SELECT kafka.create_topic('adm', 'adm_assigned', replica_assignment => '{{1},{1},{1}}');
SELECT * FROM kafka.topics('adm') WHERE topic LIKE 'adm\_%';
SELECT * FROM kafka.partitions('adm', 'adm_a');
SELECT topic, count(*) FROM kafka.partitions('adm') WHERE topic LIKE 'adm\_%' GROUP BY 1 ORDER BY 1;
SELECT kafka.add_partitions('adm', 'adm_a', 3);
SELECT kafka.add_partitions('adm', 'adm_a', 4, '{{1}}');
SELECT * FROM kafka.partitions('adm', 'adm_a');
SELECT kafka.add_partitions('adm', 'adm_a', 4);
SELECT kafka.add_partitions('adm', 'adm_a', 2);
SELECT kafka.add_partitions('adm', 'adm_a', 0);
SELECT kafka.add_partitions('adm', 'adm_a', NULL);
SELECT kafka.add_partitions('adm', 'adm_a', 5, '{{7}}');
SELECT kafka.add_partitions('adm', 'adm_none', 5);
SELECT kafka.create_topic('adm', 'adm_x', replica_assignment => '{1,2}');
SELECT kafka.create_topic('adm', 'adm_x', replica_assignment => '{{1,NULL}}');
SELECT kafka.create_topic('adm', 'adm_x', 2, replica_assignment => '{{1}}');
SELECT kafka.create_topic('adm', 'adm_x', replica_assignment => '{{99}}');
SELECT * FROM kafka.partitions('adm', 'adm_none');
SELECT * FROM kafka.partitions('adm', '');
SELECT * FROM kafka.partitions(NULL);

-- offsets
SELECT count(kafka.produce_now('adm', 'adm_a', i::text, partition => i % 2,
							   "timestamp" => '2020-01-01 00:00:00+00'::timestamptz + i * interval '1 min'))
	FROM generate_series(0, 9) AS i;
SELECT topic, partition, earliest, latest, stable FROM kafka.partitions('adm', 'adm_a');
SELECT * FROM kafka.offsets_for_time('adm', 'adm_a', '2020-01-01 00:04:00+00');
SELECT * FROM kafka.offsets_for_time('adm', 'adm_a', '2020-01-01 00:04:00.000001+00');
SELECT * FROM kafka.offsets_for_time('adm', 'adm_a', '2020-01-01 00:08:30+00');
SELECT * FROM kafka.offsets_for_time('adm', 'adm_a', '1900-01-01');
SELECT * FROM kafka.offsets_for_time('adm', 'adm_a', 'infinity');
SELECT * FROM kafka.offsets_for_time('adm', 'adm_none', '2020-01-01');

-- records
SELECT * FROM kafka.delete_records('adm', 'adm_a', 0, 2);
SELECT partition, earliest, latest FROM kafka.partitions('adm', 'adm_a');
SELECT * FROM kafka.delete_records('adm', 'adm_a', 0, 99);
SELECT * FROM kafka.delete_records('adm', 'adm_a', 0, -1);
SELECT * FROM kafka.delete_records('adm', 'adm_a', 9, 1);
SELECT * FROM kafka.delete_records('adm', 'adm_none', 0, 1);
SELECT * FROM kafka.delete_records('adm', 'adm_a', NULL, NULL);
SELECT partition, earliest, latest FROM kafka.partitions('adm', 'adm_a');

-- settings: set, keep, reset
SELECT kafka.alter_topic_config('adm', 'adm_a', '{"retention.ms": 86400000, "cleanup.policy": "compact"}');
SELECT * FROM kafka.topic_config('adm', 'adm_a') WHERE name IN ('retention.ms', 'cleanup.policy', 'segment.ms') ORDER BY 1;
SELECT kafka.alter_topic_config('adm', 'adm_a', '{"cleanup.policy": null, "segment.ms": "3600000", "preallocate": true}');
SELECT name, value, is_default FROM kafka.topic_config('adm', 'adm_a')
	WHERE name IN ('retention.ms', 'cleanup.policy', 'segment.ms', 'preallocate') ORDER BY 1;
SELECT kafka.alter_topic_config('adm', 'adm_a', '{}');
SELECT count(*) FROM kafka.topic_config('adm', 'adm_a') WHERE source = 'DYNAMIC_TOPIC_CONFIG';
SELECT kafka.alter_topic_config('adm', 'adm_a', '{"no.such.setting": 1}');
SELECT kafka.alter_topic_config('adm', 'adm_a', '{"retention.ms": "soon"}');
SELECT kafka.alter_topic_config('adm', 'adm_a', '{"retention.ms": [1]}');
SELECT kafka.alter_topic_config('adm', 'adm_a', '[1]');
\set VERBOSITY sqlstate
SELECT kafka.alter_topic_config('adm', 'adm_none', '{"retention.ms": 1}');
\set VERBOSITY default
SELECT * FROM kafka.topic_config('adm', 'adm_none');
SELECT * FROM kafka.topic_config('adm', '');
SELECT count(*) FROM kafka.topic_config('adm', 'adm_a') WHERE source = 'DYNAMIC_TOPIC_CONFIG';

-- ACLs need an authorizer, which this broker has not
SELECT kafka.create_acl('adm', 'topic', 'adm_a', 'User:alice', 'read');
\set VERBOSITY terse
SELECT kafka.create_acl('adm', 'table', 'adm_a', 'User:alice', 'read');
SELECT kafka.create_acl('adm', 'topic', 'adm_a', 'User:alice', 'look');
SELECT kafka.create_acl('adm', 'topic', 'adm_a', 'User:alice', 'read', 'maybe');
SELECT kafka.create_acl('adm', 'topic', 'adm_a', 'User:alice', 'read', pattern_type => 'match');
SELECT * FROM kafka.acls('adm');
\set VERBOSITY default

-- who may: everybody with USAGE looks, only those who are named change
CREATE ROLE regress_adm;
SELECT p.proname, has_function_privilege('regress_adm', p.oid, 'EXECUTE') AS public, p.provolatile AS vol,
		p.proisstrict AS strict, p.proparallel AS parallel, obj_description(p.oid, 'pg_proc') IS NOT NULL AS comment
	FROM pg_proc p WHERE pronamespace = 'kafka'::regnamespace
		AND (p.proargnames)[1] = 'server' AND p.proargtypes[0] = 'text'::regtype AND p.proname NOT LIKE 'produce%'
	ORDER BY 2 DESC, 1;
SET ROLE regress_adm;
SELECT * FROM kafka.cluster('adm');
SELECT * FROM kafka.brokers('adm');
SELECT * FROM kafka.broker_config('adm', 1);
SELECT * FROM kafka.partitions('adm');
SELECT * FROM kafka.offsets_for_time('adm', 'adm_a', '2020-01-01');
SELECT * FROM kafka.topic_config('adm', 'adm_a');
SELECT * FROM kafka.consumer_groups('adm');
SELECT * FROM kafka.group_members('adm', 'g');
SELECT * FROM kafka.group_offsets('adm', 'g');
SELECT * FROM kafka.acls('adm');
SELECT * FROM kafka.tail('adm', 'adm_a');
SELECT kafka.add_partitions('adm', 'adm_a', 9);
RESET ROLE;
GRANT EXECUTE ON FUNCTION kafka.add_partitions(text, text, int, int[]) TO regress_adm;
SET ROLE regress_adm;
SELECT kafka.add_partitions('adm', 'adm_a', 9);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kafka.add_partitions(text, text, int, int[]) FROM regress_adm;
DROP ROLE regress_adm;

SELECT kafka.delete_topic('adm', t) FROM unnest('{adm_a,adm_default,adm_assigned}'::text[]) AS t;
DROP SERVER adm;
