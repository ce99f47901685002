# 10,000 failing scans leave threads, sockets and memory of the backend as they
# were.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker);
my $topic = $broker->create_topic('failing', partitions => 2);

KafkaCluster::server($node, 'dead', '127.0.0.1:9', "timeout '100ms'");
$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE raw (value text, _partition int) SERVER broker OPTIONS (topic '$topic', format 'raw');
INSERT INTO raw SELECT '{"a": 1}', i % 2 FROM generate_series(1, 1000) i;
INSERT INTO raw VALUES ('{"a": "x"}', 0), ('{"a"', 1);
CREATE FOREIGN TABLE bad (a int) SERVER broker OPTIONS (topic '$topic');
CREATE FOREIGN TABLE caught (a int NOT NULL, _offset bigint) SERVER broker OPTIONS (topic '$topic', on_error 'null');
CREATE FOREIGN TABLE unknown (a int) SERVER broker OPTIONS (topic 'no.such.topic');
CREATE FOREIGN TABLE dead (a int) SERVER dead OPTIONS (topic 't');
-- runs a query so many times, and says how often it has failed with that SQLSTATE
CREATE FUNCTION fails(query text, n int, state text) RETURNS int LANGUAGE plpgsql AS \$\$
DECLARE
	failed int := 0;
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			EXECUTE query;
		EXCEPTION WHEN query_canceled OR OTHERS THEN
			IF SQLSTATE <> state THEN
				RAISE;
			END IF;
			failed := failed + 1;
		END;
	END LOOP;
	RETURN failed;
END \$\$;
SQL

my @kinds = (
	[ 'a bad row', 2000, '22P02', 'SELECT a FROM bad' ],
	[ 'a bad row of many that are caught', 500, '22P02', 'SELECT a FROM caught' ],
	[ 'a cancel in the middle', 2000, '57014', 'SELECT pg_cancel_backend(pg_backend_pid()) FROM bad' ],
	[ 'an error of the query', 1480, '22012', 'SELECT a / 0 FROM bad LIMIT 1' ],
	[ 'a topic that does not exist', 4000, 'HV00R', 'SELECT a FROM unknown' ],
	[ 'a broker that is not there', 20, '08006', 'SELECT a FROM dead' ]);

my $session = KafkaCluster::session($node);

# what the process has of its own, in kB
sub private_memory
{
	return (slurp_file('/proc/' . $session->pid . '/status') =~ /^RssAnon:\s*(\d+) kB/m)[0];
}

my $contexts = 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts';
sub run_all
{
	my ($share) = @_;

	for my $kind (@kinds)
	{
		my ($name, $n, $state, $query) = @$kind;
		my $start = time();

		$n = int($n * $share);
		is(($session->run("SELECT fails('$query', $n, '$state')"))[0], $n, "$n of $n: $name");
		note sprintf('%s: %d times in %.1f s', $name, $n, time() - $start);
	}
	return;
}

run_all(0.05);
my ($before) = $session->run($contexts);
my $private = private_memory();
run_all(1);

ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }), 'no thread is left');
my $idle = KafkaCluster::session($node);
is(KafkaCluster::descriptors($session->pid), KafkaCluster::descriptors($idle->pid), 'no socket and no pipe is left');
my ($after) = $session->run($contexts);
cmp_ok($after, '<=', $before * 1.1, 'memory contexts are as before');
note sprintf('memory contexts: %d kB before, %d kB after; private memory: %d kB before, %d kB after',
	$before / 1024, $after / 1024, $private, private_memory());
cmp_ok(private_memory(), '<=', $private + 8192, 'and so is the private memory of the process');
is(($session->run('SELECT count(*) FROM raw'))[0], '1002', 'the session goes on');

done_testing();
