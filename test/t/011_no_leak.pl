# An ERROR, a cancel or a LIMIT in the middle of a statement leaves no thread,
# no socket and no memory behind.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker);
my $topic = $broker->create_topic('no_leak', partitions => 2);

$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE t (a int, b text, _partition int, _offset bigint)
	SERVER broker OPTIONS (topic '$topic');
INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
CREATE FUNCTION try(query text) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	EXECUTE query;
EXCEPTION WHEN division_by_zero THEN
END \$\$;
SQL

my $session = KafkaCluster::session($node);
my $memory = 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts';
my @statements = (
	'SELECT * FROM t LIMIT 1',
	q{SELECT try('SELECT 1 / (a - 10000) FROM t')},
	q{SELECT try('SELECT (SELECT max(1 / (a - x)) FROM t) FROM generate_series(1, 3) x')},
	q{SELECT try('INSERT INTO t SELECT 1 / (1500 - i) FROM generate_series(1, 2000) i')},
	"SELECT * FROM kafka.watermarks('broker', 'none')",
	"SELECT * FROM kafka.produce_now('broker', '$topic', 'x', partition => 17)",
	'SET statement_timeout = 1; SELECT count(*) FROM t; RESET statement_timeout',
	'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t LIMIT 10; FETCH 1 FROM c; CLOSE c',
	'BEGIN; SAVEPOINT s; SELECT 1 / (a - 10000) FROM t; ROLLBACK TO s; SELECT 1; COMMIT',
);

$session->run($_) for @statements;
$session->run('RESET statement_timeout');
my ($before) = $session->run($memory);
for my $i (1 .. 20)
{
	$session->run($_) for @statements;
	$session->run('RESET statement_timeout');
}
ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) <= 20 }), 'what is kept for the next statement is bounded');
$session->run('SELECT kafka.disconnect_all()');
ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }),
	'no thread is left');

my $idle = KafkaCluster::session($node);
is(KafkaCluster::descriptors($session->pid), KafkaCluster::descriptors($idle->pid),
	'no socket and no pipe is left');
my ($after) = $session->run($memory);
cmp_ok($after, '<=', $before * 1.1, 'memory is as before') or diag "$before, $after";

# What only fails keeps nothing at all.
for my $i (1 .. 50)
{
	$session->run(q{SELECT 1 / (a - 10000) FROM t});
	$session->run(q{INSERT INTO t SELECT 1 / (1500 - i) FROM generate_series(1, 2000) i});
}
ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }),
	'no thread is left of what failed');
is(KafkaCluster::descriptors($session->pid), KafkaCluster::descriptors($idle->pid),
	'nor a socket');

# While a scan runs there are threads, and none of them takes our signals.
$session->run('BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 1 FROM c');
cmp_ok(KafkaCluster::threads($session->pid), '>', 1, 'a scan has threads');
for my $status (glob('/proc/' . $session->pid . '/task/*/status'))
{
	next if $status =~ m{/@{[$session->pid]}/status$};
	my ($blocked) = slurp_file($status) =~ /^SigBlk:\s*([0-9a-f]+)/m;
	my ($name) = slurp_file($status) =~ /^Name:\s*(\S+)/m;

	for my $signal (1, 2, 3, 10, 12, 14, 15)    # HUP INT QUIT USR1 USR2 ALRM TERM
	{
		ok(hex(substr($blocked, -8)) & (1 << ($signal - 1)), "$name blocks signal $signal");
	}
}

# The backend's end in the middle of a scan is not a crash.
$session->quit;
$idle->quit;
my $victim = KafkaCluster::session($node);
$victim->run('BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 1 FROM c');
my $pid = $victim->pid;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 10000)");
ok(KafkaCluster::wait_for(sub { !-e "/proc/$pid" }), 'a terminated backend ends');
unlike(slurp_file($node->logfile), qr/terminated by signal|server process.*was terminated/,
	'and the server goes on');

done_testing();
