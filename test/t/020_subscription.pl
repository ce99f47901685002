# A subscription inserts each message's row once, with its lineage.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('numbers', partitions => 3);
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

$broker->produce($topic, map { "$_,before" } 1 .. 10);
$node->numbers('n', $topic, constraints => 'at timestamptz DEFAULT now(), twice int GENERATED ALWAYS AS (2 * n) STORED');
$node->subscribe('n');
is($node->count_once('n'), 10, 'what was in the topic comes into the table');

$broker->produce($topic, map { "$_,after" } 11 .. 20);
is($node->count_once('n'), 20, 'so does what is produced later');
is( sql('SELECT sum(n), sum(twice), count(at) FROM n'),
	'210|420|20', 'defaults and generated columns are computed');
is( sql('SELECT n, word, _partition, _offset FROM n EXCEPT SELECT * FROM n_feed'),
	'',
	'rows and lineage columns are what the foreign table shows');
is( sql(q(SELECT count(*), sum(next_offset) FROM kafka.subscription_position
		WHERE subscription = 'n')),
	'3|20',
	'positions are past the messages');

# threads that read do not interrupt the one that writes: SCHED_BATCH (3), not SCHED_OTHER (0)
my $pid = $node->worker_pid('n');
my %policies = map { m{task/(\d+)} => (split ' ', slurp_file($_) =~ s/.*\) //r)[38] } glob "/proc/$pid/task/*/stat";
is(delete $policies{$pid}, 0, 'the thread that writes is like any other process');
my %others = map { $_ => 1 } values %policies;
is(join(' ', sort keys %others), '3', 'those that read are not to interrupt it');

# columns that differ
sql(q(
	CREATE TABLE wide (word varchar(3), n numeric(10, 2), _offset int,
		other text DEFAULT 'x');
	SELECT kafka.create_subscription('wide', 'n_feed', 'wide');
	SELECT kafka.disable_subscription('wide')));
my ($ret, $stdout, $stderr) = $node->psql('postgres',
	q(SELECT kafka.wait_for_subscription('wide')));
like($stderr, qr/subscription "wide" is disabled/,
	'waiting for a disabled subscription is an error');
sql(q(UPDATE kafka.subscription_position SET next_offset = 0;
	TRUNCATE n;
	ALTER TABLE wide ALTER word TYPE varchar(10);
	SELECT kafka.enable_subscription('wide')));
$node->wait_applied('wide');
is( sql('SELECT count(*), sum(n), min(other) FROM wide'),
	'20|210.00|x', 'values are assigned as INSERT assigns them');

# where to start
sql(q(SELECT kafka.drop_subscription('wide');
	TRUNCATE wide;
	SELECT kafka.create_subscription('wide', 'n_feed', 'wide', 'latest')));
$broker->produce($topic, '21,latest');
$node->wait_applied('wide');
is(sql('SELECT n, word FROM wide'), '21.00|latest', 'start at the end');

# control records and aborted messages have offsets, but no rows
my $tx = $broker->create_topic('transactions');
$node->numbers('tx', $tx);
$broker->produce_transaction($tx, 'commit', '1,a', '2,b');
$broker->produce_transaction($tx, 'abort', '3,c');
$node->subscribe('tx');
$node->wait_applied('tx');
is(sql('SELECT string_agg(word, $$ $$ ORDER BY n) FROM tx'),
	'a b', 'aborted messages have no rows');
is( sql(q(SELECT next_offset FROM kafka.subscription_position WHERE subscription = 'tx')),
	($broker->watermarks($tx))[0][1],
	'the position is past markers and aborted messages');
$node->wait_state('tx', 'idle');
is( sql(q(SELECT lag_messages, messages, rows, batches > 0, last_error IS NULL
		FROM kafka.stat_subscription WHERE subscription = 'tx')),
	'0|2|2|t|t',
	'the statistics say so');

# a worker that waits holds nothing
ok( $node->wait_true(q(SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'tx'
		AND backend_xmin IS NULL AND backend_xid IS NULL AND xact_start IS NULL)),
	'an idle worker holds neither transaction nor snapshot');
ok( $node->wait_true(q(SELECT count(*) = 0 FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE application_name = 'tx')),
	'an idle worker holds no lock');

# waiting
($ret, $stdout, $stderr) = $node->psql('postgres',
	q(BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT kafka.wait_for_subscription('tx')));
like(
	$stderr,
	qr/cannot wait for a subscription in a REPEATABLE READ transaction/,
	'who cannot see progress cannot wait');
($ret, $stdout, $stderr) = $node->psql('postgres',
	q(BEGIN; SELECT kafka.disable_subscription('tx'); SELECT kafka.wait_for_subscription('tx')));
like($stderr, qr/transaction that has changed subscriptions/,
	'nor can who has not committed');
is( $node->safe_psql('postgres', q(SELECT kafka.wait_for_subscription('tx', '0'))),
	't',
	'no time is needed where nothing is to be done');

$node->stop;
done_testing();
