# The cut points of delivery "commit": a process that dies between sending and
# PostgreSQL's commit leaves the documented window and nothing else.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $broker = KafkaBroker->new(
	name => 'window',
	property => { 'transaction.abort.timed.out.transaction.cleanup.interval.ms' => 200 });
my $node = KafkaCluster::start(undef, 'restart_after_crash = on');
my $topic = $broker->create_topic('window', partitions => 2);
my $bootstrap = $broker->bootstrap;
$node->safe_psql('postgres', <<"SQL");
CREATE SERVER k FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers '$bootstrap', timeout '3s', socket_timeout_ms '3000', "transaction.timeout.ms" '4000');
CREATE FOREIGN TABLE k (a int, _partition int) SERVER k OPTIONS (topic '$topic');
CREATE TABLE local (a int);
SQL

my $number = 0;

# How many rows Kafka and PostgreSQL have of a transaction.
sub seen
{
	my ($a) = @_;

	return $node->safe_psql('postgres', "SELECT (SELECT count(*) FROM k WHERE a = $a), (SELECT count(*) FROM local WHERE a = $a)");
}

# Commits a transaction of so many messages that stops at a place.
sub stop_at
{
	my ($place, $count) = @_;
	my $session = KafkaCluster::session($node);

	$number++;
	$session->run("SET kafka_fdw.stop_at = '$place'");
	$session->send("BEGIN; INSERT INTO local VALUES ($number); "
		  . "INSERT INTO k SELECT $number, i % 2 FROM generate_series(1, $count) i; COMMIT");
	ok(KafkaCluster::wait_for(sub { $session->stopped }), "$count messages: stopped when $place");
	return $session;
}

# A later transaction is seen, and so the last stable offset has passed.
sub passed
{
	my ($name) = @_;

	$number++;
	$node->safe_psql('postgres', "BEGIN; INSERT INTO local VALUES ($number); INSERT INTO k VALUES ($number, 0), ($number, 1); COMMIT");
	ok(KafkaCluster::wait_for(sub { seen($number) eq '2|1' }), "$name: readers go on");
}

sub crash
{
	my ($place, $count, $expected) = @_;
	my $session = stop_at($place, $count);
	my $a = $number;
	my $name = "$count messages: killed when $place";

	my $before = -s $node->logfile;

	kill KILL => $session->pid;
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $before);
	ok(KafkaCluster::wait_for(sub { (eval { $node->psql('postgres', 'SELECT true') } // 1) == 0 }), "$name: the server restarts");
	passed($name);
	like(seen($a), $expected, "$name: what is left");
}

crash('sent', 10, qr/^0\|0$/);
crash('flushed', 10, qr/^0\|0$/);
crash('committed', 10, qr/^10\|0$/);
crash('sent', 1, qr/^[01]\|0$/);
crash('committed', 1, qr/^1\|0$/);

# A cancel or termination between the two commits is too late.
foreach my $function ('pg_cancel_backend', 'pg_terminate_backend')
{
	foreach my $count (1, 2)
	{
		my $session = stop_at('committed', $count);
		my $a = $number;

		$node->safe_psql('postgres', "SELECT $function(" . $session->pid . ')');
		kill CONT => $session->pid;
		if ($function eq 'pg_cancel_backend')
		{
			my ($out, $err) = $session->finish;
			unlike($err, qr/\w/, "$count messages: a cancel after Kafka's commit is too late");
		}
		else
		{
			ok( $node->poll_query_until('postgres',
					'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $session->pid),
				"$count messages: terminated after Kafka's commit");
		}
		ok(KafkaCluster::wait_for(sub { seen($a) eq "$count|1" }), "$count messages: both have committed");
	}
}

# A client that has gone at the commit does not hear of it, and so it is done.
foreach my $count (1, 2)
{
	my $session = stop_at('committed', $count);
	my $a = $number;

	$session->{psql}->kill_kill;
	kill CONT => $session->pid;
	ok( $node->poll_query_until('postgres',
			'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $session->pid),
		"$count messages: a session whose client has gone ends");
	ok(KafkaCluster::wait_for(sub { seen($a) eq "$count|1" }), "$count messages: and both have committed");
}

# Kafka does not answer when it is asked to commit: nobody knows, and that is said.
$node->safe_psql('postgres', q{ALTER SERVER k OPTIONS (SET timeout '60s', SET "transaction.timeout.ms" '90000')});
my $session = stop_at('flushed', 10);
my $a = $number;
$broker->pause;
kill CONT => $session->pid;
ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = " . $session->pid),
	'waits for the answer');
my $start = time();
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
my ($out, $err) = $session->finish;
cmp_ok(time() - $start, '<', KafkaCluster::SOON, 'a cancel does not wait long');
like($err, qr/ERROR:  57014/, 'and is an error');
like($err, qr/WARNING:  08007: it is not known whether Kafka has committed/, 'with a warning');
$broker->resume;
passed('in doubt');
like(seen($a), qr/^(0|10)\|0$/, 'in doubt: all or nothing');

# The same by Kafka's own silence.
$node->safe_psql('postgres', q{ALTER SERVER k OPTIONS (SET timeout '3s', SET "transaction.timeout.ms" '4000')});
$session->run('RESET kafka_fdw.stop_at');
$session = stop_at('flushed', 10);
$a = $number;
$broker->pause;
kill CONT => $session->pid;
($out, $err) = $session->finish;
like($err, qr/ERROR:  [0-9A-Z]{5}: could not commit the Kafka transaction/, 'no answer is an error') or diag $err;
like($err, qr/WARNING:  08007: it is not known whether Kafka has committed/, 'with a warning');
$broker->resume;
passed('no answer');
like(seen($a), qr/^(0|10)\|0$/, 'no answer: all or nothing');

$session->quit;
done_testing();
