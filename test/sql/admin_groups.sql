-- Consumer groups without members: offsets, lag, reset, delete.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER grp FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
SELECT kafka.create_topic('grp', t, 2) FROM unnest('{grp_a,grp_b}'::text[]) AS t;
SELECT count(kafka.produce_now('grp', 'grp_a', i::text, partition => i % 2,
							   "timestamp" => '2020-01-01 00:00:00+00'::timestamptz + i * interval '1 min'))
	FROM generate_series(0, 9) AS i;
SELECT * FROM kafka.delete_records('grp', 'grp_a', 1, 1);

-- a dry run changes nothing, not even the list of groups
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', start => 'earliest');
SELECT * FROM kafka.consumer_groups('grp') WHERE group_id LIKE 'grp\_%';
SELECT * FROM kafka.group_offsets('grp', 'grp_g');
SELECT * FROM kafka.group_members('grp', 'grp_g');

-- each way to say where to
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', start => 'earliest', dry_run => false);
SELECT * FROM kafka.group_offsets('grp', 'grp_g');
SELECT group_id, state, members, assignor, coordinator FROM kafka.consumer_groups('grp') WHERE group_id LIKE 'grp\_%';
SELECT * FROM kafka.group_members('grp', 'grp_g');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', shift_by => 2, dry_run => false);
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', to_offset => 4, partitions => '{1}', dry_run => false);
SELECT * FROM kafka.group_offsets('grp', 'grp_g');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', to_time => '2020-01-01 00:05:00+00');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', to_time => '2030-01-01');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', start => 'latest');
-- never beyond what there is
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', to_offset => 0);
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', shift_by => 9223372036854775807);
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', shift_by => -100);
-- all that the group has
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_b', start => 'latest', partitions => '{1}', dry_run => false);
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', start => 'latest', dry_run => NULL);
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', start => 'latest', dry_run => false);
SELECT topic, partition, committed, latest, lag FROM kafka.group_offsets('grp', 'grp_g');

-- what is not possible
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', start => 'latest', to_offset => 1);
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_a', start => 'middle');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_b', shift_by => 1);
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_b', start => 'latest', partitions => '{1,7}');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_b', start => 'latest', partitions => '{{1}}');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', start => 'latest', partitions => '{1}');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_g', 'grp_none', start => 'latest');
SELECT * FROM kafka.reset_group_offsets('grp', NULL, 'grp_a', start => 'latest');
SELECT * FROM kafka.reset_group_offsets('grp', 'grp_none', start => 'latest');

SELECT kafka.delete_group('grp', 'grp_g');
SELECT kafka.delete_group('grp', 'grp_g');
SELECT * FROM kafka.consumer_groups('grp') WHERE group_id LIKE 'grp\_%';
SELECT kafka.delete_topic('grp', t) FROM unnest('{grp_a,grp_b}'::text[]) AS t;
DROP SERVER grp;
