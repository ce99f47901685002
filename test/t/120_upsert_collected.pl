# Mode upsert, far behind: the rows of many batches are collected and written
# together, each key once; and whatever goes wrong meanwhile, the target has the
# last message of each key, and each bad message is passed by once.

use strict;
use warnings FATAL => 'all';

use Test::More;

use KafkaBroker;
use KafkaIngest;

my $messages = 60_000;
my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# Sends messages of 100 keys, every seventh without value, and keeps what is to
# be in the target.
sub make_topic
{
	my ($name, $value) = @_;
	my $topic = $broker->create_topic("collected_$name", partitions => 3);

	sql(qq(CREATE FOREIGN TABLE ${name}_feed (id text OPTIONS (metadata 'key'), n text, h text OPTIONS (source 'header'),
			_partition int, _offset bigint)
			SERVER broker
			OPTIONS (topic '$topic', format 'csv', delivery 'immediate');
		CREATE FOREIGN TABLE $name (id text OPTIONS (metadata 'key'), n int) SERVER broker
			OPTIONS (topic '$topic', format 'csv');
		CREATE TABLE ${name}_sent AS
			SELECT i, 'k' || abs(hashint4(i)) % 100 AS id, CASE WHEN i % 7 > 0 THEN $value END AS n
			FROM generate_series(1, $messages) AS i;
		INSERT INTO ${name}_feed (id, n) SELECT id, n FROM ${name}_sent ORDER BY i;
		CREATE TABLE ${name}_target (id text PRIMARY KEY, n int CHECK (n <> 100000))));
	return $topic;
}

# What the target is to have; messages that are bad do not count.
sub expected
{
	my ($name) = @_;

	return sql(qq(SELECT id, n FROM (SELECT DISTINCT ON (id) id, n FROM ${name}_sent
			WHERE n IS DISTINCT FROM 'bad' ORDER BY id, i DESC) AS l WHERE n IS NOT NULL ORDER BY id));
}

sub target { return sql("SELECT id, n FROM $_[0]_target ORDER BY id"); }

sub subscribe
{
	my ($name, $more) = @_;

	return sql(qq(SELECT kafka.create_subscription('$name', '$name', '${name}_target', mode => 'upsert',
			batch_rows => 1000, batch_interval => '3 s'$more)));
}

# Waits until all of it has been committed, without having what there is committed
# early, as kafka.wait_for_subscription() does.
sub caught_up
{
	my ($name) = @_;

	return $node->wait_true(qq(SELECT count(*) = 3 AND bool_and(next_offset = w.offset_high)
		FROM kafka.subscription_position AS p
		JOIN kafka.kafka_get_watermarks('$name') AS w ON w.partition = p.partition
		WHERE p.subscription = '$name'));
}

make_topic('plain', 'i::text');
subscribe('plain', '');
ok(caught_up('plain'), 'a backlog of 60 batches is written');
is(target('plain'), expected('plain'), 'the target has the last of each key');
is(sql('SELECT messages FROM kafka.stat_subscription'), $messages, 'all messages are counted');
cmp_ok(sql('SELECT rows FROM kafka.stat_subscription'), '<', 3000, 'but a key is not written in each batch');
sql(q(INSERT INTO plain_sent VALUES (100000, 'k1', '5'), (100001, 'k2', NULL);
	INSERT INTO plain_feed (id, n) SELECT id, n FROM plain_sent WHERE i >= 100000 ORDER BY i));
ok(caught_up('plain'), 'and then it follows');
is(target('plain'), expected('plain'), 'as ever');
sql(q(SELECT kafka.drop_subscription('plain')));

# A full batch does not wait for more.
make_topic('single', 'i::text');
sql(q(SELECT kafka.create_subscription('single', 'single', 'single_target', mode => 'upsert', start => 'latest',
		batch_rows => 1, batch_interval => '1 hour');
	INSERT INTO single_feed (id, n) VALUES ('a', '1')));
ok($node->wait_true(q(SELECT count(*) = 1 FROM single_target WHERE n = 1)), 'a batch that is full is written');
sql(q(INSERT INTO single_feed (id, n) VALUES ('a', '2')));
ok($node->wait_true(q(SELECT count(*) = 1 FROM single_target WHERE n = 2)), 'and so is the next');
sql(q(SELECT kafka.drop_subscription('single')));

# Messages that cannot be decoded, and rows that cannot be stored.
make_topic('bad', q(CASE WHEN i % 20000 = 10001 THEN 'bad' ELSE i::text END));
sql(q(INSERT INTO bad_sent VALUES (100000, 'only', '100000'), (100001, 'other', '1');
	INSERT INTO bad_feed (id, n, h) SELECT id, n, 'a header' FROM bad_sent WHERE i >= 100000 ORDER BY i));
subscribe('bad', q(, on_error => 'dead_letter'));
ok(caught_up('bad'), 'a backlog with bad messages is written');
sql(q(DELETE FROM bad_sent WHERE id = 'only'));
is(target('bad'), expected('bad'), 'but for them');
is(sql(q(SELECT string_agg(convert_from(value, 'UTF8'), ' ' ORDER BY value) FROM kafka.dead_letter)),
	'100000 bad bad', 'each of which is put aside once');
is(sql(q(SELECT (headers[1]).name, convert_from((headers[1]).value, 'UTF8') FROM kafka.dead_letter WHERE value = '100000')),
	'h|a header', 'with its headers');
sql(q(DELETE FROM kafka.dead_letter; SELECT kafka.drop_subscription('bad')));

# A subscription that is to stop does so at the first of them.
sql(q(TRUNCATE bad_target));
subscribe('bad', '');
ok($node->wait_state('bad', 'stopped'), 'with on_error stop, it stops');
like($node->error_of('bad'), qr/invalid input syntax for type integer: "bad"/, 'at a bad message');
is(sql(q(SELECT count(*) FROM (SELECT _partition, min(_offset) FROM bad_feed WHERE n = 'bad' GROUP BY _partition) AS b
	JOIN kafka.subscription_position AS p ON p.partition = b._partition AND next_offset > b.min)),
	0, 'and before it');
sql(q(SELECT kafka.drop_subscription('bad')));

# Kills, a disabled subscription and another definition of the target while it is behind.
make_topic('hit', 'i::text');
subscribe('hit', '');
for my $hit (1 .. 6)
{
	my $pid = $node->worker_pid('hit');

	$node->wait_true("SELECT state IN ('reading', 'applying', 'idle') FROM kafka.stat_subscription WHERE pid = $pid")
	  if $hit % 2;
	kill 9, $pid if $hit < 3;
	$node->wait_true("SELECT pg_postmaster_start_time() > now() - interval '1 day'") if $hit < 3;
	sql('ALTER TABLE hit_target ADD COLUMN more int DEFAULT 1') if $hit == 3;
	sql(q(SELECT kafka.disable_subscription('hit'); SELECT kafka.enable_subscription('hit'))) if $hit == 4;
	sql('ALTER TABLE hit_target ALTER COLUMN n TYPE bigint') if $hit == 5;
	sql(q(SELECT pg_terminate_backend(pid) FROM kafka.stat_subscription)) if $hit == 6;
}
ok(caught_up('hit'), 'it catches up after all that');
is(target('hit'), expected('hit'), 'and has the last of each key');

done_testing();
