# The views say what the workers do: state, counts, rate, lag in messages and in
# time, memory, how rows are stored; and each partition's lag.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('stat', partitions => 2);
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub stat_of
{
	my ($columns, $name) = @_;

	return sql("SELECT $columns FROM kafka.stat_subscription WHERE subscription = '$name'");
}

$broker->produce($topic,
	map { { value => "$_,x", partition => $_ % 2, timestamp => 1540218030000 } } 1 .. 100);
$node->numbers('n', $topic);
$node->subscribe('n', q(workers => 2));
is($node->count_once('n'), 100, 'all messages are read');
$node->wait_state('n', 'idle');
is(stat_of('cardinality(pids), pid = ANY (pids), partitions, messages, rows, bad_messages, retries', 'n'),
	'2|t|2|100|100|0|0', 'processes and counts');
is(stat_of('bytes', 'n'), 392, 'bytes of the values');
is(stat_of('batches BETWEEN 2 AND 10, messages_per_second BETWEEN 1 AND 100', 'n'),
	't|t', 'batches and rate');
is( stat_of(q(lag_messages, lag_time, last_message_time = '2018-10-22 14:20:30+00'), 'n'),
	'0|00:00:00|t',
	'nothing is left, however old it is');
is(stat_of('memory BETWEEN 1000000 AND 200000000', 'n'), 't', 'memory');
is(stat_of('insert_mode', 'n'), 'many rows at once', 'how rows are stored');

# what others see of a worker
is( sql(q(SELECT count(*), min(usename), min(backend_type) FROM pg_stat_activity WHERE application_name = 'n')),
	'2|' . sql('SELECT current_user') . '|kafka_fdw worker',
	'pg_stat_activity');
SKIP:
{
	skip 'wait events without names', 1 if sql('SHOW server_version_num') < 170000;
	$node->poll_query_until('postgres',
		q(SELECT bool_and(wait_event = 'KafkaClient') FROM pg_stat_activity WHERE application_name = 'n'));
	is( sql(q(SELECT string_agg(DISTINCT wait_event, ' ') FROM pg_stat_activity WHERE backend_type = 'kafka_fdw launcher')),
		'KafkaLauncherMain',
		'wait events');
}
SKIP:
{
	skip 'no /proc', 1 unless -d '/proc/self';
	my $pid = stat_of('pid', 'n');
	my $title = slurp_file("/proc/$pid/cmdline");
	like($title, qr/kafka_fdw worker 1 of n idle/, 'title of the process');
}

# while there is a backlog
sql('BEGIN; LOCK TABLE n IN SHARE MODE; COMMIT');
my $session = KafkaCluster::session($node);
$session->run('BEGIN; LOCK TABLE n IN SHARE MODE');
$broker->produce($topic, map { { value => "$_,y", partition => 0 } } 101 .. 110);
$node->wait_state('n', 'waiting for a lock');
is(stat_of(q(lag_messages, lag_time > '1 year'), 'n'), '10|t', 'a backlog has length and age');
is( sql(q(SELECT partition, next_offset, earliest_offset, end_offset, lag_messages
		FROM kafka.subscription_lag WHERE subscription = 'n' ORDER BY partition)),
	"0|50|0|60|10\n1|50|0|50|0",
	'the lag of each partition');
$session->run('ROLLBACK');
is($node->count_once('n'), 110, 'which then is read');
is(sql('SELECT sum(lag_messages) FROM kafka.subscription_lag'), 0, 'and nothing is left');

# counting anew
my $since = stat_of('stats_since', 'n');
sql(q(SELECT kafka.stat_subscription_reset('n')));
is(stat_of("messages, rows, bytes, batches, stats_since > '$since', lag_messages", 'n'),
	'0|0|0|0|t|0', 'a reset');
$broker->produce($topic, '111,z');
$node->wait_applied('n');
is(stat_of('messages', 'n'), 1, 'counts from there on');

# who may see and do it
sql('CREATE ROLE other LOGIN; CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor');
like($node->error_from(q(SET ROLE other; SELECT kafka.stat_subscription_reset('n'))),
	qr/must be owner of subscription "n"/, 'counts are the owner\'s');
sql('SET ROLE other; SELECT kafka.stat_subscription_reset()');
is(stat_of('messages', 'n'), 1, 'all of one\'s own are none');
is(sql('SET ROLE other; SELECT count(*) FROM kafka.subscription_lag'), 0,
	'the lag is not everybody\'s to ask for');
is(sql('SET ROLE monitor; SELECT count(*) FROM kafka.subscription_lag'), 2,
	'but pg_monitor\'s');

# reasons for single rows
$node->numbers('slow', $topic, constraints => 'at timestamptz DEFAULT clock_timestamp()');
$node->subscribe('slow');
$node->wait_applied('slow');
is(stat_of('insert_mode', 'slow'), 'single rows: a default is volatile', 'a volatile default');
sql(q(ALTER TABLE slow ALTER at SET DEFAULT now();
	CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER keep BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION keep()));
$broker->produce($topic, '112,z');
$node->wait_applied('slow');
is(stat_of('insert_mode', 'slow'), 'single rows: a trigger fires before each', 'a trigger');

$node->stop;
done_testing();
