# A rescan seeks: it opens no connection, and asks for no offsets.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker);
my $topic = $broker->create_topic('rescans', partitions => 3);

$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE t (a int, _partition int, _offset bigint) SERVER broker OPTIONS (topic '$topic');
INSERT INTO t SELECT i, i % 3 FROM generate_series(0, 2999) i;
CREATE TABLE looked_up AS SELECT i % 3 AS p, i / 3 AS o, i AS a FROM generate_series(0, 2999, 7) i;
ANALYZE looked_up;
SQL

# The sockets of a process, by their inodes, which no other socket has later.
sub sockets
{
	my ($pid) = @_;

	return grep { /^socket:/ } map { readlink($_) // () } glob("/proc/$pid/fd/*");
}

my $session = KafkaCluster::session($node);
my %before = map { $_ => 1 } sockets($session->pid);
$session->run('SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off');
my $join = 'SELECT count(*), sum((s.a = l.a)::int) FROM looked_up l JOIN t s ON _partition = p AND _offset = o';
like(($session->run("EXPLAIN $join"))[0], qr/Nested Loop.*Foreign Scan/s, 'a nested loop looks up');
is(($session->run($join))[0], '429|429', 'and finds every row');

# In a cursor, so that the session can be looked at in the middle; a join that can
# be done in no other way, for a cursor prefers a quick first row.
my $lookups = 'SELECT s.a FROM looked_up l, LATERAL (SELECT a FROM t WHERE _partition = p AND _offset = o OFFSET 0) s';
$session->run("BEGIN; DECLARE c CURSOR FOR $lookups; FETCH 1 FROM c");
my %connected = map { $_ => 1 } sockets($session->pid);
ok((grep { !$before{$_} } keys %connected), 'it is connected');
is(($session->run('SELECT count(*) FROM kafka.connections() WHERE active'))[0], '1', 'once');
$session->run('MOVE 200 FROM c');
is(join(' ', grep { !$connected{$_} } sockets($session->pid)), '', '200 rescans later by the same connection');
is(($session->run('SELECT count(*) FROM kafka.connections() WHERE active'))[0], '1', 'the only one');

# What has arrived meanwhile is not in the scan's snapshot.
$broker->produce($topic, map { { value => '{"a": -1}', partition => $_ } } 0 .. 2);
$session->run('MOVE FORWARD ALL FROM c; COMMIT');
is( ($session->run(
			"SELECT n, (SELECT count(*) FROM t WHERE _offset >= n) FROM (VALUES (999), (1000), (1001)) v(n)"))[0],
	"999|6\n1000|3\n1001|0", 'correlated sub-select');

$session->quit;
done_testing();
