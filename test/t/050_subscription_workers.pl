# Several workers share the partitions: each message is there once, in the order
# of its partition, also while their number changes and they are killed.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use POSIX ();

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $messages = 200_000;
my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('workers', partitions => 5);
my $node = KafkaIngest->start_with($broker, 'max_worker_processes = 20');

sub sql { return $node->safe_psql('postgres', @_); }
my $workers = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'kafka_fdw worker');

sub has_workers
{
	my ($count) = @_;

	return $node->poll_query_until('postgres', "SELECT ($workers) = $count");
}

my $file = "$PostgreSQL::Test::Utils::tmp_check/workers.csv";
open my $lines, '>', $file or die "$file: $!";
print $lines "$_,word\n" foreach 1 .. $messages;
close $lines;

$node->numbers('n', $topic);
sql('ALTER TABLE n ADD number bigserial');
$node->subscribe('n', q(workers => 3, batch_rows => 100));
ok(has_workers(3), 'a subscription has as many workers as it says');
$broker->produce($topic, map { { value => "0,$_", partition => $_ } } 0 .. 4);
is($node->count_once('n'), 5, 'together they read all partitions');
is(sql('SELECT count(*), max(partitions) FROM kafka.stat_subscription'),
	'1|5', 'and are one row of the view');

my $producer = fork // die "fork: $!";
if ($producer == 0)
{
	$broker->produce_file($topic, $file);
	POSIX::_exit(0);
}

# rows and positions of one snapshot belong together
my $ahead = q(SELECT count(*) FROM n JOIN kafka.subscription_position p ON partition = _partition
	WHERE _offset >= next_offset);
my $torn = 0;

# more and fewer of them, while messages are coming
foreach my $count (1, 4, 2, 7, 3)
{
	my $rows = sql('SELECT count(*) FROM n');

	sql("SELECT kafka.alter_subscription('n', workers => $count)");
	ok(has_workers($count), "there are $count of them after ALTER");
	$broker->produce($topic, map { $messages++; "$messages,more" } 1 .. 10);
	$node->poll_query_until('postgres', "SELECT count(*) > $rows FROM n")
	  or die 'nothing comes';
	$torn += sql($ahead);
}
is($torn, 0, 'no snapshot ever has a row that is not behind its position');

# one of them dies, and with it all of them
my $pid = sql(q(SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'kafka_fdw worker'));
kill 9, $pid;
ok(KafkaCluster::wait_for(sub { !kill 0, $pid }), 'one is killed');

waitpid $producer, 0;
is($node->count_once('n'), $messages + 5, 'each message is there once');
is( sql(q(SELECT count(*) FROM (SELECT _offset < lag(_offset) OVER (
		PARTITION BY _partition ORDER BY number) AS wrong FROM n) AS n WHERE wrong)),
	0,
	'in the order of its partition');
is( sql(q(SELECT count(*) FROM kafka.subscription_position p WHERE next_offset IS DISTINCT FROM
		(SELECT max(_offset) + 1 FROM n WHERE _partition = p.partition))),
	0,
	'as the positions say');

# what a session asks for, all of them hear
$broker->produce($topic, map { { value => "1,$_", partition => $_ } } 0 .. 4);
sql(q(SELECT kafka.wait_for_subscription('n', '1 min')));
is(sql('SELECT count(*) FROM n WHERE n = 1') + 0, 6, 'one waits for all of them');
sql(q(SELECT kafka.disable_subscription('n')));
ok(has_workers(0), 'disable ends all');

# more workers than partitions
sql(q(SELECT kafka.alter_subscription('n', workers => 7);
	  SELECT kafka.enable_subscription('n')));
ok(has_workers(7), 'workers without partitions are there too');
ok($node->wait_state('n', 'idle'), 'and have nothing to do');
$broker->add_partitions($topic, 7);
$broker->produce($topic, map { { value => "2,$_", partition => $_ } } 5 .. 6);
ok($node->wait_applied('n'), 'until there are more partitions');
is(sql('SELECT count(*) FROM n WHERE _partition IN (5, 6)'),
	2, 'which are read from their beginning');
like(
	$node->error_from(q(SELECT kafka.alter_subscription('n', workers => 0))),
	qr/workers must be between 1 and 128/,
	'none at all is refused');
sql(q(SELECT kafka.drop_subscription('n')));
ok(has_workers(0), 'drop ends all');

$node->stop;
done_testing();
