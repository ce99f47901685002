# A scan that ends while its broker says that an offset is out of range ends: so do
# all of many that end at about that moment, whatever a thread of the client is in.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use KafkaProxy;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions = 8;
my $scans = $ENV{KAFKA_FDW_TEST_SCANS} // 60;
my $proxy = KafkaProxy->new;
my $broker = KafkaBroker->new(name => 'range', listeners => [ $proxy->listener ]);
$proxy->start($broker);
my $topic = $broker->create_topic('range', partitions => 100);
my $node = KafkaCluster::start();

KafkaCluster::server($node, 'far', $proxy->address, q("fetch.wait.max.ms" '1'));

# Fails at its first row, while the answer to the next fetch is on its way.
$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE n (n int, _partition int) SERVER far OPTIONS (topic '$topic', format 'csv');
INSERT INTO n SELECT i, 0 FROM generate_series(1, 1000) i;
CREATE FUNCTION failing(scans int, OUT failed int) LANGUAGE plpgsql AS \$\$
BEGIN
	failed := 0;
	FOR i IN 1 .. scans LOOP
		BEGIN
			PERFORM pg_sleep(random() * 0.01), n / 0 FROM n;
		EXCEPTION WHEN division_by_zero OR fdw_error THEN
			failed := failed + 1;
		END;
	END LOOP;
END \$\$;
SQL

my @sessions = map { KafkaCluster::session($node) } 1 .. $sessions;
$proxy->stale($topic);
$_->send("SELECT failing($scans);") foreach @sessions;
is(join(' ', map { ($_->finish)[0] } @sessions), join(' ', ($scans) x $sessions), 'each of the scans has failed');
SKIP:
{
	skip 'this client fetches by topic ids', 1 if $proxy->staled == 0 && KafkaBroker::client_version() >= 2010000;
	cmp_ok($proxy->staled, '>', 0, 'answers were out of range');
}
note $proxy->staled . ' answers out of range, of ' . $sessions * $scans . ' scans';

$proxy->pass;
is(($sessions[0]->run('SELECT count(*) FROM n'))[0], 1000, 'the next scan reads everything');
$_->quit foreach @sessions;
$node->stop;
done_testing();
