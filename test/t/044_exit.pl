# Sessions that end with live producers over TLS end cleanly, however they end.
# KAFKA_FDW_TEST_EXITS is how many of each kind; it was 1,000 when this was written.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 4;
my $exits = $ENV{KAFKA_FDW_TEST_EXITS} // 40;
my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start();
my $topic = $broker->create_topic('exits', partitions => 2);

$broker->allow('User:alice', '--producer', '--idempotent', '--transactional-id' => '*', '--topic' => $topic);
$broker->server($node, 'tls', 'SASL_SSL', "sasl_mechanism 'PLAIN'");
KafkaSecurity::mapping($node, 'PUBLIC', 'tls', KafkaSecurity::password('alice'));

# the session ends, or is terminated, right after it has sent
my %scripts = (
	'single messages' => "SELECT kafka.produce('tls', '$topic', 'x');",
	'Kafka transactions' => "SELECT kafka.produce('tls', '$topic', 'x', partition => i % 2) FROM generate_series(1, 10) i;",
	'immediate delivery' =>
	  "SET kafka_fdw.delivery = immediate; SELECT kafka.produce('tls', '$topic', 'x') FROM generate_series(1, 3);");
foreach my $name (sort keys %scripts)
{
	my $file = $node->basedir . '/script.sql';
	my $each = int($exits / $clients);

	append_to_file($file, '');
	open(my $handle, '>', $file) or die $!;
	print $handle "$scripts{$name}\n";
	close($handle);
	$node->command_ok([ 'pgbench', '-n', '-C', '-c', $clients, '-t', $each, '-f', $file, 'postgres' ],
		"$name: sessions end");
}
foreach my $number (1 .. 10)
{
	my $session = KafkaCluster::session($node);
	my ($out, $err) = $session->run($scripts{'Kafka transactions'});

	unlike($err, qr/ERROR/, 'a session that is terminated');
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $session->pid . ')');
}
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"),
	'no session is left');
my $log = slurp_file($node->logfile);
unlike($log, qr/was terminated by signal|PANIC|reinitializing/, 'no process has crashed');

# Signals while much is sent and read over TLS.
$node->safe_psql('postgres', "CREATE FOREIGN TABLE tls_feed (_value text, _partition int) SERVER tls OPTIONS (topic '$topic', format 'raw')");
my $stormed = KafkaCluster::session($node);
foreach my $statement ("INSERT INTO tls_feed SELECT repeat('x', 100), i % 2 FROM generate_series(1, 100000) i",
	"SET kafka_fdw.delivery = immediate; INSERT INTO tls_feed SELECT repeat('y', 100) FROM generate_series(1, 100000)")
{
	$stormed->send($statement);
	foreach (1 .. 300)
	{
		kill $_ => $stormed->pid foreach 'USR1', 'HUP', 'ALRM';
		select(undef, undef, undef, 0.001);
	}
	my ($out, $err) = $stormed->finish;
	is($err, '', "signals do no harm: $statement");
}
$stormed->quit;
unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC|reinitializing/, 'nor do they end a process');

# and a broker that does not answer does not keep one from ending
my $session = KafkaCluster::session($node);
$session->run($scripts{'Kafka transactions'});
$broker->pause;
$session->quit;
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"),
	'a session ends while the broker is silent');
$broker->resume;

done_testing();
