# Workers are not in the way of commands that want a database for themselves,
# and follow what happens to the extension and to servers, also when the broker
# does not answer.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->new;
my $topic = $broker->create_topic('databases', partitions => 2);
my $node = KafkaIngest->start_with($broker);
my $n = 0;

sub ten { $broker->produce($topic, map { $n++; "$n,x" } 1 .. 10); return; }

# Runs SQL that must not take long.
sub quick
{
	my ($name, $sql, $dbname) = @_;
	my $seconds = KafkaIngest::seconds(
		sub { $node->safe_psql($dbname // 'postgres', $sql); });

	cmp_ok($seconds, '<', KafkaCluster::SOON, "$name is quick");
	return;
}

sub state
{
	my ($dbname) = @_;

	return $node->safe_psql($dbname, 'SELECT state FROM kafka.stat_subscription');
}

ten();
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->prepare_database($broker, 'one');
$node->numbers('n', $topic, dbname => 'one');
$node->subscribe('n', undef, 'one');
is($node->count_once('n', 'one'), $n, 'before');

# commands that want the database for themselves
quick('ALTER DATABASE RENAME', 'ALTER DATABASE one RENAME TO two');
ten();
is($node->count_once('n', 'two'), $n, 'the worker goes on under the new name');
quick('CREATE DATABASE TEMPLATE', 'CREATE DATABASE copy TEMPLATE two');
ten();
is($node->count_once('n', 'two'), $n, 'the worker of the template goes on');
ok( $node->wait_for_log(qr/subscription "n" does not run because it is a copy/),
	'the copy is noticed');
is(state('copy'), 'copied', 'and does not run');
is($node->safe_psql('copy', 'SELECT count(*) FROM n'), $n - 10, 'with its rows');
$node->safe_psql('copy', q(SELECT kafka.enable_subscription('n')));
is($node->count_once('n', 'copy'), $n, 'unless it is enabled');
$node->safe_psql('postgres', 'CREATE ROLE other CREATEDB LOGIN');
my $pid = $node->worker_pid('n', 'two');
$node->error_from('SET ROLE other; ALTER DATABASE two RENAME TO three');
$node->error_from('SET ROLE other; CREATE DATABASE three TEMPLATE two');
is($node->worker_pid('n', 'two'), $pid,
	'who may not do it does not end workers');

# the same while the broker is silent, and commands on other databases
$broker->pause;
quick('RENAME without broker', 'ALTER DATABASE two RENAME TO one');
quick('TEMPLATE without broker', 'CREATE DATABASE again TEMPLATE one');
quick('CREATE of another database', 'CREATE DATABASE other');
quick('RENAME of another database', 'ALTER DATABASE other RENAME TO another');
quick('DROP of another database', 'DROP DATABASE another');
quick('DROP of a database with a worker', 'DROP DATABASE copy');
$broker->resume;
ten();
is($node->count_once('n', 'one'), $n, 'the worker goes on with the broker');

# the extension
$pid = $node->worker_pid('n', 'one');
$broker->pause;
quick('DROP and CREATE EXTENSION in one transaction',
	'BEGIN; DROP EXTENSION kafka_fdw CASCADE; CREATE EXTENSION kafka_fdw; COMMIT',
	'one');
ok(KafkaCluster::wait_for(sub { !kill 0, $pid }), 'which ends the worker');
$broker->resume;
is($node->safe_psql('one', q(SELECT count(*) FROM kafka.subscription, kafka.subscription_stats())),
	0, 'without a trace');
$node->safe_psql('again', q(SELECT kafka.enable_subscription('n')));
is($node->count_once('n', 'again'), $n, 'another database');
$pid = $node->worker_pid('n', 'again');
my $directory = $node->config_data('--sharedir') . '/extension';
append_to_file("$directory/kafka_fdw--1.0--1.0.1.sql",
	"ALTER TABLE kafka.subscription SET (fillfactor = 90);\n");
append_to_file("$directory/kafka_fdw--1.0.1--1.0.sql",
	"ALTER TABLE kafka.subscription RESET (fillfactor);\n");
quick('ALTER EXTENSION UPDATE', q(ALTER EXTENSION kafka_fdw UPDATE TO '1.0.1'), 'again');
ten();
$node->wait_true(
	q(SELECT state = 'retrying' AND last_error ~ 'has version 1.0.1, but the library in this server has version 1.0' FROM kafka.stat_subscription),
	'again');
is(state('again'), 'retrying', 'the old library does not touch what it does not know');
quick('ALTER EXTENSION UPDATE back', q(ALTER EXTENSION kafka_fdw UPDATE TO '1.0'), 'again');
$node->safe_psql('again', q(SELECT kafka.enable_subscription('n')));
is($node->count_once('n', 'again'), $n, 'and goes on when the versions agree');

# the same while the worker asks a broker that will not answer within ten minutes
$node->safe_psql('again', q(ALTER SERVER broker OPTIONS (SET bootstrap_servers '127.0.0.1:1', ADD timeout '600000')));
$node->wait_true(q(SELECT state = 'connecting' FROM kafka.stat_subscription), 'again');
quick('ALTER EXTENSION UPDATE without broker', q(ALTER EXTENSION kafka_fdw UPDATE TO '1.0.1'), 'again');
ok($node->wait_true(q(SELECT state = 'retrying' AND last_error ~ 'has version 1.0.1' FROM kafka.stat_subscription), 'again'),
	'is noticed by the worker');
quick('ALTER EXTENSION UPDATE back without broker', q(ALTER EXTENSION kafka_fdw UPDATE TO '1.0'), 'again');
my $bootstrap = $broker->bootstrap;
$node->safe_psql('again', "ALTER SERVER broker OPTIONS (SET bootstrap_servers '$bootstrap', DROP timeout)");
is($node->count_once('n', 'again'), $n, 'which goes on when all agree and the broker is there');
unlink "$directory/kafka_fdw--1.0--1.0.1.sql", "$directory/kafka_fdw--1.0.1--1.0.sql";

# a server that is mended is tried at once, not after the 8 s that the worker would wait
$node->safe_psql('again', q(ALTER SERVER broker OPTIONS (SET bootstrap_servers '127.0.0.1:1', ADD timeout '200')));
$node->wait_true('SELECT retries >= 4 FROM kafka.stat_subscription', 'again')
  or die 'the worker does not retry';
ten();
my $seconds = KafkaIngest::seconds(
	sub {
		$node->safe_psql('again', "ALTER SERVER broker OPTIONS (SET bootstrap_servers '$bootstrap', DROP timeout)");
		$node->count_once('n', 'again');
	});
cmp_ok($seconds, '<', 7, 'ALTER SERVER ends the wait of a worker that failed');
$pid = $node->worker_pid('n', 'again');
$node->safe_psql('again',
	q(CREATE USER MAPPING FOR CURRENT_USER SERVER broker OPTIONS (sasl_username 'x', sasl_password 'y')));
ten();
is($node->count_once('n', 'again'), $n, 'a worker follows a new user mapping');

$node->stop('fast');
done_testing();
