# A connection to Kafka, with its threads, is of one process: the postmaster has
# none that a child could inherit, a parallel worker has its own and not its
# leader's, and a program that is run gets none.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker, 'min_parallel_table_scan_size = 0',
	'parallel_setup_cost = 0', 'parallel_tuple_cost = 0');
my $topic = $broker->create_topic('processes', partitions => 2);

$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE t (a int, b text) SERVER broker
	OPTIONS (topic '$topic', "fetch.message.max.bytes" '10000', "queued.min.messages" '100');
CREATE FOREIGN TABLE later (a int, b text) SERVER broker OPTIONS (topic '$topic', delivery 'commit');
INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 40000) i;
CREATE TABLE descriptors (name text);
SQL
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;

# The sockets, pipes and the like of a process, without what it has of the
# postmaster.
sub own
{
	my ($pid) = @_;
	my %inherited = map { $_ => 1 } names($postmaster);

	return grep { !$inherited{$_} } names($pid);
}

sub names
{
	my ($pid) = @_;

	return grep { /^(socket|pipe):/ } map { readlink($_) // '' } glob("/proc/$pid/fd/*");
}

sub common
{
	my ($one, $other) = @_;
	my %one = map { $_ => 1 } @$one;

	return join(' ', grep { $one{$_} } @$other);
}

sub pids
{
	my ($condition) = @_;

	return split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $condition");
}

# One session with a scan under way, a producer and what is kept from earlier.
my $session = KafkaCluster::session($node);
my %before = map { $_ => 1 } own($session->pid);
$session->run('SELECT count(*) FROM t');
$session->run(q(INSERT INTO later VALUES (0, 'x'), (0, 'y')));
$session->run('BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 1 FROM c');
cmp_ok(($session->run('SELECT count(*) FROM kafka.connections()'))[0], '>=', 3, 'a session has connections');
my @session = grep { !$before{$_} } own($session->pid);
my @sockets = grep { /^socket:/ } @session;
cmp_ok(scalar @sockets, '>', 0, 'and sockets of them');
cmp_ok(KafkaCluster::threads($session->pid), '>', 1, 'and threads');

is(KafkaCluster::threads($postmaster), 1, 'the postmaster has no threads');
my @others = pids('pid NOT IN (pg_backend_pid(), ' . $session->pid . ')');
cmp_ok(scalar @others, '>', 3, 'there are other processes');
is(scalar(grep { KafkaCluster::threads($_) > 1 } @others), 0, 'none of which has threads');
is(join('', map { common(\@session, [ names($_) ]) } @others), '', 'or a descriptor of the session');

# A program that the session runs; librdkafka's pipes, which have no peer there,
# do not count.
my ($out, $err) = $session->run(
	q(COPY descriptors FROM PROGRAM 'for f in /proc/$$/fd/*; do readlink "$f" || true; done'));
unlike($err, qr/\w/, 'a program is run');
($out) = $session->run('SELECT name FROM descriptors');
like($out, qr/pipe:/, 'and has descriptors');
is(common(\@sockets, [ split /\n/, $out ]), '', 'but no connection to Kafka');
is(($session->run('MOVE FORWARD ALL IN c; COMMIT; SELECT count(*) FROM t'))[0], '40002', 'the session goes on');

# Parallel workers of a leader that keeps connections.
my $slow = 'SELECT count(*), sum(a) FROM t WHERE pg_sleep(0.001) IS NOT NULL';
like(($session->run("EXPLAIN $slow"))[0], qr/Parallel Foreign Scan/, 'a parallel scan');
$session->send($slow);
my $leader = 'leader_pid = ' . $session->pid;
ok( KafkaCluster::wait_for(
		sub { my @workers = pids($leader); @workers && !grep { KafkaCluster::threads($_) == 1 } @workers; }),
	'its workers have threads of their own');
my %of = map { $_ => [ own($_) ] } $session->pid, pids($leader);
my @pids = sort keys %of;
cmp_ok(scalar @pids, '>', 1, 'workers are looked at');
while (defined(my $pid = shift @pids))
{
	is(common($of{$pid}, $of{$_}), '', 'no two processes have a descriptor in common') for @pids;
}
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
$session->finish;
is(($session->run('SELECT count(*), sum(a) FROM t'))[0], '40002|800020000', 'the leader goes on');

$session->quit;
done_testing();
