# A standby continues when it is promoted; a restored dump, a clone and a base
# backup that is started as a second server do not run before they are enabled.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('copies', partitions => 2);
my $node = KafkaIngest->start_with($broker, 'wal_level = replica',
	'max_wal_senders = 10', 'archive_mode = on',
	q(archive_command = 'true'));
my $n = 0;

# Produces ten messages.
sub ten
{
	$broker->produce($topic, map { $n++; "$n,x" } 1 .. 10);
	return;
}

# One more server from a backup.
sub clone
{
	my ($name, $backup, %args) = @_;
	my $clone = PostgreSQL::Test::Cluster->new($name);

	$clone->init_from_backup($node, $backup, %args);
	return bless $clone, 'KafkaIngest';
}

# Checks that the subscription does not run, and says why.
sub is_copied
{
	my ($server, $what, $dbname) = @_;

	$dbname //= 'postgres';
	is( $server->safe_psql(
			$dbname, q(SELECT state, pid IS NULL,
			last_error LIKE $$%kafka.enable_subscription() runs it here%$$ FROM kafka.stat_subscription)),
		'copied|t|t',
		"$what does not run");
	return;
}

# Checks that it does when it is enabled, from its position on.
sub runs_when_enabled
{
	my ($server, $what, $dbname) = @_;

	$dbname //= 'postgres';
	$server->safe_psql($dbname, q(SELECT kafka.enable_subscription('n')));
	is($server->count_once('n', $dbname), $n, "$what runs when it is enabled");
	return;
}

$node->numbers('n', $topic);
$node->subscribe('n');
ten();
is($node->count_once('n'), 10, 'the original');

# a dump restored into another database of the same server
my $dump = "$PostgreSQL::Test::Utils::tmp_check/copies.sql";
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
ten();
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored') ],
	'restore');
is_copied($node, 'a restored dump', 'restored');
$node->restart;
is($node->count_once('n'), 20, 'the original goes on');
ok( $node->wait_for_log(qr/subscription "n" does not run because it is a copy/),
	'the log says that the copy does not run');
is_copied($node, 'a restored dump, after a restart,', 'restored');
is($node->safe_psql('restored', 'SELECT count(*) FROM n'),
	10, 'it has the rows of the dump');
runs_when_enabled($node, 'a restored dump', 'restored');
ten();
is($node->count_once('n', 'restored'), $n, 'and goes on');
is($node->count_once('n'), $n, 'the original too');

# a dump by somebody who is not a superuser
$node->safe_psql('postgres', 'CREATE ROLE dumper LOGIN IN ROLE pg_read_all_data');
my @dump = ('pg_dump', '-f', $dump, '-d', $node->connstr('postgres') . ' user=dumper');
$node->command_fails_like(\@dump, qr/query would be affected by row-level security policy for table "dead_letter"/,
	'who may not see all dead letters has no dump without them');
$node->safe_psql('postgres', 'ALTER ROLE dumper BYPASSRLS');
$node->command_ok(\@dump, 'who may has one');

# standby, base backup, and a clone by point-in-time recovery
$node->backup('base');
my $standby = clone('standby', 'base', has_streaming => 1);
my $copy = clone('copy', 'base');
my $pitr = clone('pitr', 'base', has_restoring => 1, standby => 0);
$pitr->adjust_conf('postgresql.conf', 'restore_command', q('false'));
$_->start foreach $standby, $copy, $pitr;
ten();
$node->count_once('n');
$node->wait_for_catchup('standby');
is( $standby->safe_psql('postgres', 'SELECT state, pid IS NULL FROM kafka.stat_subscription'),
	'standby|t',
	'a standby has no worker');
is( $standby->safe_psql(
		'postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'kafka')),
	0,
	'nor a launcher');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM n_feed'),
	$n, 'it reads topics');
like(($standby->psql('postgres', "SELECT kafka.${_}_subscription('n')"))[2],
	qr/cannot execute kafka\.${_}_subscription\(\) during recovery/, "it refuses to $_ a subscription")
  foreach qw(enable disable drop);
is_copied($copy, 'a base backup started as a second server');
is($copy->safe_psql('postgres', 'SELECT count(*) FROM n'), 30, 'it has the rows of the backup');
is_copied($pitr, 'a clone by point-in-time recovery');
runs_when_enabled($pitr, 'a clone');
runs_when_enabled($copy, 'a copy');
$_->stop foreach $copy, $pitr;

# failover: the primary dies, with rows that the standby does not have
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
ten();
is($node->count_once('n'), $n, 'the primary is ahead of the standby');
$node->stop('immediate');
$standby->promote;
is($standby->count_once('n'), $n, 'a promoted standby continues, each message once');
is($standby->safe_psql('postgres', 'SELECT state IN ($$idle$$, $$reading$$, $$applying$$) FROM kafka.stat_subscription'),
	't', 'by itself');
ten();
$standby->restart;
is($standby->count_once('n'), $n, 'also after a restart');
like(slurp_file($standby->logfile),
	qr/subscription "n" continues on this server, which was a standby/,
	'the log says so');
$standby->stop;

done_testing();
