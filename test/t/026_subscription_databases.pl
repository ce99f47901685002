# Workers are not in the way of DROP EXTENSION, DROP DATABASE and shutdown, also
# when the broker does not answer.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->new;
my $topic = $broker->create_topic('databases', partitions => 2);
my $node = KafkaIngest->start_with($broker, 'log_min_messages = debug1');

# Makes a database with a subscription that runs.
sub make_database
{
	my ($dbname) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $dbname");
	$node->prepare_database($broker, $dbname);
	$node->numbers('n', $topic, dbname => $dbname);
	$node->subscribe('n', undef, $dbname);
	$node->wait_applied('n', $dbname);
	return $node->worker_pid('n', $dbname);
}

# Runs SQL that must not take long.
sub quick
{
	my ($name, $sql, $dbname) = @_;
	my $seconds = KafkaIngest::seconds(
		sub { $node->safe_psql($dbname // 'postgres', $sql); });

	cmp_ok($seconds, '<', KafkaCluster::SOON, "$name is quick");
	return;
}

sub gone
{
	my ($pid) = @_;

	return KafkaCluster::wait_for(sub { !kill 0, $pid });
}

$broker->produce($topic, map { "$_,x" } 1 .. 100);
my $pid = make_database('one');
my $other = make_database('two');

quick('DROP EXTENSION', 'DROP EXTENSION kafka_fdw CASCADE', 'one');
ok(gone($pid), 'DROP EXTENSION ends the worker');
quick('CREATE EXTENSION', 'CREATE EXTENSION kafka_fdw', 'one');
is($node->safe_psql('one', 'SELECT count(*) FROM kafka.stat_subscription'),
	0, 'the subscription does not come back with the extension');

quick('DROP DATABASE', 'DROP DATABASE one');
quick('CREATE DATABASE', 'CREATE DATABASE one');
quick('DROP DATABASE of an empty database', 'DROP DATABASE one');
quick('DROP DATABASE of a running subscription', 'DROP DATABASE two');
ok(gone($other), 'DROP DATABASE ends the worker');

# a drop that fails leaves the worker running
$pid = make_database('kept');
my $session = KafkaCluster::session($node);
$session->run('\c kept');
like($node->error_from('DROP DATABASE kept'),
	qr/is being accessed by other users/, 'DROP DATABASE can fail');
$session->quit;
$broker->produce($topic, map { "$_,x" } 101 .. 110);
is($node->count_once('n', 'kept'), 110, 'the worker then goes on');

# the broker stops answering
$broker->pause;
$pid = $node->worker_pid('n', 'kept');
quick('disable', q(SELECT kafka.disable_subscription('n')), 'kept');
ok(gone($pid), 'a worker without broker ends');
$node->safe_psql('kept', q(UPDATE kafka.subscription SET enabled = true));
$node->restart;
$pid = $node->worker_pid('n', 'kept');
quick('DROP DATABASE without broker', 'DROP DATABASE kept');
ok(gone($pid), 'DROP DATABASE ends a worker without broker');
$broker->resume;
$pid = make_database('last');
$broker->pause;
cmp_ok(KafkaIngest::seconds(sub { $node->stop('fast'); }),
	'<', KafkaCluster::SOON, 'fast shutdown is quick');
$broker->resume;

done_testing();
