# Workers start with the server, whatever ended it, and continue exactly.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('restart', partitions => 2);
my $node = KafkaIngest->start_with($broker);
my $n = 0;

# Produces ten more messages and checks that all are in the table once.
sub ten_more
{
	my ($name, $dbname) = @_;

	$broker->produce($topic, map { $n++; "$n,x" } 1 .. 10);
	is($node->count_once('n'), $n, $name);
	return;
}

$node->numbers('n', $topic);
$node->subscribe('n');
ten_more('before any restart');

foreach my $mode (qw(fast immediate))
{
	$node->restart if $mode eq 'fast';
	if ($mode eq 'immediate')
	{
		$node->stop('immediate');
		$node->start;
	}
	ten_more("after a $mode shutdown");
}

KafkaCluster::kill_server($node);
$node->start;
ten_more('after kill -9 of the postmaster');


my $old = $node->worker_pid('n');
my ($launcher) = split /\n/,
  $node->safe_psql('postgres',
	q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'kafka_fdw launcher'));
kill 'KILL', $launcher;
$node->wait_true(
	"SELECT count(*) = 1 FROM kafka.stat_subscription WHERE pid <> $old")
  or die 'no new worker';
ten_more('after kill -9 of the launcher, which restarts the server');

$old = $node->worker_pid('n');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
$node->wait_true(
	"SELECT count(*) = 1 FROM kafka.stat_subscription WHERE pid <> $old")
  or die 'no new worker';
ten_more('after pg_terminate_backend() of the worker');

# a second database, in a server that knows it only from its catalogs
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->prepare_database($broker, 'second');
$node->numbers('n', $topic, dbname => 'second');
$node->subscribe('n', undef, 'second');
is($node->count_once('n', 'second'), $n, 'subscriptions of another database');
$node->restart;
ten_more('after a restart with two databases');
is($node->count_once('n', 'second'), $n, 'and in the other one');

$node->stop;
done_testing();
