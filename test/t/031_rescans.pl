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

# The threads of the client, which live as long as an instance, by number: a new
# one has no name yet.
sub client_threads
{
	my ($pid) = @_;

	return grep { !m{/$pid$} } glob("/proc/$pid/task/*");
}

my $session = KafkaCluster::session($node);
$session->run('SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off');
my $join = 'SELECT count(*), sum((s.a = l.a)::int) FROM looked_up l JOIN t s ON _partition = p AND _offset = o';
like(($session->run("EXPLAIN $join"))[0], qr/Nested Loop.*Foreign Scan/s, 'a nested loop looks up');
is(($session->run($join))[0], '429|429', 'and finds every row');

# In a cursor, so that the session can be looked at in the middle.
$session->run("BEGIN; DECLARE c CURSOR FOR SELECT s.a FROM looked_up l JOIN t s ON _partition = p AND _offset = o;
	FETCH 1 FROM c");
my %threads = map { $_ => 1 } client_threads($session->pid);
ok(%threads, 'it is connected');
is(($session->run('SELECT count(*) FROM kafka.connections() WHERE active'))[0], '1', 'once');
$session->run('MOVE 200 FROM c');
is(join(' ', grep { !$threads{$_} } client_threads($session->pid)), '', '200 rescans later by the same connection');
is(($session->run('SELECT count(*) FROM kafka.connections() WHERE active'))[0], '1', 'the only one');

# What has arrived meanwhile is not in the scan's snapshot.
$broker->produce($topic, map { { value => '{"a": -1}', partition => $_ } } 0 .. 2);
$session->run('MOVE FORWARD ALL FROM c; COMMIT');
is( ($session->run(
			"SELECT n, (SELECT count(*) FROM t WHERE _offset >= n) FROM (VALUES (999), (1000), (1001)) v(n)"))[0],
	"999|6\n1000|3\n1001|0", 'correlated sub-select');

$session->quit;
done_testing();
