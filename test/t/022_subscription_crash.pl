# kill -9 of the worker in mid-batch loses nothing and repeats nothing.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use POSIX ();
use Time::HiRes qw(usleep);

use KafkaBroker;
use KafkaIngest;

my $messages = 200_000;
my $kills = $ENV{KAFKA_FDW_KILLS} // 8;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('crash', partitions => 4);
my $node = KafkaIngest->start_with($broker, 'shared_buffers = 64MB');

my $file = "$PostgreSQL::Test::Utils::tmp_check/crash.csv";
open my $lines, '>', $file or die "$file: $!";
print $lines "$_,some text to make it longer\n" foreach 1 .. $messages;
close $lines;

# rows come slowly enough for many kills: each batch is a few ms of work
$node->numbers('n', $topic, constraints => 'PRIMARY KEY (_partition, _offset)');
$node->subscribe('n', q(batch_rows => 500, batch_interval => '10 ms'));
my $old = $node->worker_pid('n');

my $producer = fork // die "fork: $!";
if ($producer == 0)
{
	$broker->produce_file($topic, $file);
	POSIX::_exit(0);
}

# the moments are spread over what a worker does
my $running = 0;
foreach my $kill (1 .. $kills)
{
	usleep(30_000 * $kill + int rand 30_000);
	$running++ if kill 'KILL', $old;
	$node->wait_true(
		"SELECT count(*) = 1 FROM kafka.stat_subscription WHERE pid <> $old")
	  or die 'no new worker';
	$old = $node->worker_pid('n');
}
waitpid $producer, 0;

is($running, $kills, "the worker was killed $kills times");
is($node->count_once('n'), $messages, 'each message is in the table once');
is( $node->safe_psql('postgres',
		q(SELECT sum(next_offset) FROM kafka.subscription_position)),
	$messages,
	'positions are at the end');
is($node->safe_psql('postgres', 'SELECT sum(n) FROM n'),
	$messages * ($messages + 1) / 2,
	'the rows are the messages');

$node->stop;
done_testing();
