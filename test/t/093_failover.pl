# Failover: workers do not wait for a synchronous standby that is down; a promoted
# standby reads again what it has not got; the old primary, rewound, is a standby
# without workers, and goes on when it is promoted itself.  (F37, F38)

use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('failover', partitions => 2);
my $out = $broker->create_topic('failover_out');
my $one = KafkaIngest->start_with($broker, 'wal_level = replica', 'max_wal_senders = 10',
	'wal_log_hints = on', q(wal_keep_size = '256MB'));
my $n = 0;

# Produces ten messages.
sub ten
{
	$broker->produce($topic, map { $n++; "$n,x" } 1 .. 10);
	return;
}

# Each message is in the table once, and in the other topic.
sub is_complete
{
	my ($server, $name) = @_;

	is($server->faults('n', $n), '', "$name: each message is in the table once");
	$server->wait_applied('piped') or die 'the other subscription does not catch up';
	my %sent = map { $_->{value} => 1 } $broker->consume($out);
	is(scalar(keys %sent), $n, "$name: the other topic has them");
	return;
}

sub is_standby
{
	my ($server, $name) = @_;

	is( $server->safe_psql('postgres', 'SELECT DISTINCT state, pid IS NULL FROM kafka.stat_subscription'),
		'standby|t', "$name: no worker is meant to run");
	is( $server->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'kafka')),
		0, "$name: nor does anything");
	return;
}

sub wait_for_standby
{
	my ($primary, $standby) = @_;

	$primary->wait_for_catchup($standby->name, 'replay', $primary->lsn('insert'));
	return;
}

$one->numbers('n', $topic);
$one->subscribe('n');
$one->safe_psql('postgres',
	qq(SELECT kafka.create_subscription('piped', 'n_feed',
		command => 'SELECT kafka.produce(\$\$broker\$\$, \$\$$out\$\$, n::text) FROM n_feed')));
ten();
is_complete($one, 'at first');

# a synchronous standby, that goes down
$one->backup('base');
my $two = bless PostgreSQL::Test::Cluster->new('two'), 'KafkaIngest';
$two->init_from_backup($one, 'base', has_streaming => 1);
$two->start;
$one->safe_psql('postgres', q(ALTER SYSTEM SET synchronous_standby_names = 'two'));
$one->reload;
$one->wait_true(q(SELECT sync_state = 'sync' FROM pg_stat_replication)) or die 'no synchronous standby';
ten();
is_complete($one, 'with a synchronous standby');
is(scalar(my @sent = $broker->consume($out)), $n, 'what is sent is sent once');
wait_for_standby($one, $two);
is_standby($two, 'a standby');
$two->stop('immediate');
ten();
is_complete($one, 'with the standby down');
my $session = KafkaCluster::session($one);
my $pid = $one->worker_pid('n');
$session->send(q(SELECT kafka.disable_subscription('n')));
ok( $one->wait_true('SELECT wait_event = $$SyncRep$$ FROM pg_stat_activity WHERE pid = ' . $session->pid),
	'who changes a subscription waits for the standby, as for any commit');
$one->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
my (undef, $err) = $session->finish;
like($err, qr/WARNING: .*canceling wait for synchronous replication/, 'and may stop to wait');
ok(KafkaCluster::wait_for(sub { !kill 0, $pid }), 'the worker ends');
$session->run(q(SET synchronous_commit = local; SELECT kafka.enable_subscription('n')));
$session->quit;
ten();
is_complete($one, 'enabled with the standby down');
$two->start;
wait_for_standby($one, $two);
is($two->safe_psql('postgres', 'SELECT count(*) FROM n'), $n, 'the standby has all when it is back');

# failover to a standby that lacks the last messages
$one->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names');
$one->reload;
$two->stop;
my $had = $n;
ten();
is_complete($one, 'without a standby');
$one->stop('immediate');
$two->start;
is($two->safe_psql('postgres', 'SELECT count(*) FROM n'), $had, 'the standby lacks messages');
$two->promote;
ten();
is_complete($two, 'promoted');

# the old primary returns, with a history of its own
$two->safe_psql('postgres', 'CHECKPOINT');    # pg_rewind knows the new timeline from it
my $conf = $one->data_dir . '/postgresql.conf';
my $kept = "$PostgreSQL::Test::Utils::tmp_check/failover.conf";
copy($conf, $kept) or die "$conf: $!";
$one->command_ok(
	[ 'pg_rewind', '-D', $one->data_dir, '--source-server', $two->connstr('postgres') ],
	'pg_rewind of the old primary');
copy($kept, $conf) or die "$conf: $!";    # pg_rewind has taken the other's
$one->enable_streaming($two);
$one->start;
ten();
is_complete($two, 'with the old primary as standby');
wait_for_standby($two, $one);
is_standby($one, 'the old primary');
is($one->safe_psql('postgres', 'SELECT count(*), count(DISTINCT (_partition, _offset)) FROM n'),
	"$n|$n", 'which has each message once');

# and back
$two->stop;
$one->promote;
ten();
is_complete($one, 'promoted again');
$two->enable_streaming($one);
$two->start;
ten();
is_complete($one, 'and goes on');
wait_for_standby($one, $two);
is_standby($two, 'the other one');
unlike(slurp_file($_->logfile), qr/does not run because it is a copy/, $_->name . ' never was a copy')
  foreach $one, $two;

$_->stop foreach $two, $one;
done_testing();
