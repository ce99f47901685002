# Disable, enable, drop and ALTER while messages are arriving, and locks of
# others on the target, neither lose nor repeat a message, nor wait for Kafka.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use POSIX ();

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $messages = 300_000;
my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('verbs', partitions => 2);
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# Says whether rows come; there is always something to come.
sub grows
{
	my $rows = sql('SELECT count(*) FROM n');

	$broker->produce($topic, map { $messages++; "$messages,more" } 1 .. 100);

	return $node->poll_query_until('postgres',
		"SELECT count(*) > $rows FROM n");
}

my $file = "$PostgreSQL::Test::Utils::tmp_check/verbs.csv";
open my $lines, '>', $file or die "$file: $!";
print $lines "$_,word\n" foreach 1 .. $messages;
close $lines;

$node->numbers('n', $topic);
$node->subscribe('n', q(batch_rows => 200));
$broker->produce($topic, '0,first');
$node->wait_applied('n');
my $producer = fork // die "fork: $!";
if ($producer == 0)
{
	$broker->produce_file($topic, $file);
	POSIX::_exit(0);
}

my $unchanged = 1;
foreach (1 .. 5)
{
	grows() or die 'the subscription does not go on';
	my $rows = sql(q(SELECT kafka.disable_subscription('n'); SELECT count(*) FROM n)) =~ s/^\n//r;
	my $now = sql(q(SELECT sum(next_offset) FROM kafka.subscription_position));
	$unchanged = 0 if $rows != $now;
	$unchanged = 0 if sql('SELECT count(*) FROM n') != $rows;
	sql(q(SELECT kafka.enable_subscription('n')));
}
ok($unchanged, 'nothing is written after disable_subscription()');

# what has all there is, but gets no more, is not waited for either
sql(q(SELECT kafka.disable_subscription('n')));
my (undef, undef, $waited) = $node->psql('postgres', q(SELECT kafka.wait_for_subscription('n')));
like($waited, qr{subscription "n" is disabled}, 'a disabled subscription is not waited for');
sql(q(SELECT kafka.enable_subscription('n')));

# disabled and enabled in one go, the worker must not be lost between
sql(q(SELECT kafka.disable_subscription('n'))), sql(q(SELECT kafka.enable_subscription('n')))
  foreach 1 .. 10;
ok(grows(), 'the subscription goes on after quick changes');

# an aborted change is none
sql(q(BEGIN; SELECT kafka.drop_subscription('n'); ROLLBACK));
ok(grows(), 'nor does an aborted drop stop it');

# DDL on source and target
sql('ALTER TABLE n ADD extra int DEFAULT 7; ALTER TABLE n ALTER n TYPE bigint');
ok(grows(), 'ALTER TABLE of the target is followed');
sql(q(ALTER FOREIGN TABLE n_feed ALTER word SET NOT NULL));
ok(grows(), 'so is ALTER FOREIGN TABLE');
sql(q(ALTER SERVER broker OPTIONS (ADD "fetch.wait.max.ms" '50')));
ok(grows(), 'and ALTER SERVER');

# a lock on the target
my $session = KafkaCluster::session($node);
$session->run('BEGIN; LOCK TABLE n');
$broker->produce($topic, map { $messages++; "$messages,more" } 1 .. 100);
ok( $node->wait_state('n', 'waiting for a lock'),
	'a worker that waits for a lock says so');
my ($out, $err) = $session->run(q(SELECT kafka.disable_subscription('n')));
unlike($err, qr{\S}, 'who has locked the target can disable the subscription');
$session->run('COMMIT');
sql(q(SELECT kafka.enable_subscription('n')));
$session->run(q(BEGIN; SELECT kafka.disable_subscription('n');));
($out, $err) = $session->run('LOCK TABLE n');
unlike($err, qr{\S}, 'who has disabled the subscription can lock the target');
$session->run('ROLLBACK');
$session->quit;

waitpid $producer, 0;
is($node->count_once('n'), $messages + 1, 'each message is there once');

# drop
my $pid = $node->worker_pid('n');
sql(q(SELECT kafka.drop_subscription('n')));
ok(KafkaCluster::wait_for(sub { !kill 0, $pid }), 'drop ends the worker');
is(sql('SELECT count(*) FROM kafka.subscription_position'),
	0, 'and its positions');
is( $node->error_from(q(SELECT kafka.drop_subscription('n'))) =~
	  /subscription "n" does not exist/,
	1,
	'what is dropped is unknown');
sql(q(SELECT kafka.drop_subscription('n', if_exists => true)));

# the same name again
sql('TRUNCATE n');
$node->subscribe('n');
is($node->count_once('n'), $messages + 1, 'a name can be used again');
unlike(slurp_file($node->logfile), qr/deadlock|ERROR:.*moved/,
	'nobody was in the way of anybody');

$node->stop;
done_testing();
