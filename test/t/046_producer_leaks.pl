# Failing writes leave no thread and no connection, signals do no harm, and a
# standby writes nothing.  KAFKA_FDW_TEST_FAILURES is how often each fails.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $times = $ENV{KAFKA_FDW_TEST_FAILURES} // 20;
my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker, 'wal_level = replica');
my $topic = $broker->create_topic('leaks', partitions => 2);
my $small = $broker->create_topic('small', config => { 'max.message.bytes' => 1000 });

$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE now (a int, b text, _partition int) SERVER broker OPTIONS (topic '$topic', delivery 'immediate');
CREATE FOREIGN TABLE later (a int, b text, _partition int) SERVER broker OPTIONS (topic '$topic', delivery 'commit');
CREATE FOREIGN TABLE later_small (a int, b text) SERVER broker OPTIONS (topic '$small', delivery 'commit');
SQL
my $session = KafkaCluster::session($node);
my %failures = (
	'unknown partition' => 'INSERT INTO now (a, _partition) VALUES (1, 99)',
	'unknown partition at the commit' => 'INSERT INTO later (a, _partition) VALUES (1, 0), (1, 99)',
	'unknown topic' => "SELECT kafka.produce('broker', 'no_such_topic', 'x')",
	'too large at the commit' => "INSERT INTO later VALUES (1, repeat('x', 2000000))",
	'too large for the broker' => "INSERT INTO later_small VALUES (1, repeat('x', 2000)), (2, 'y')",
	'an error in the middle' => 'INSERT INTO now SELECT 1 / (100 - i) FROM generate_series(1, 100) i',
	'an error after it' => 'BEGIN; INSERT INTO now VALUES (1); INSERT INTO later VALUES (1), (2); SELECT 1 / 0; ROLLBACK');

foreach my $name (sort keys %failures)
{
	# the first one makes what stays for the session
	my ($out, $err) = $session->run($failures{$name});

	like($err, qr/ERROR/, "$name fails");
	$session->run('SELECT kafka.disconnect_all()');
	ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }), "$name leaves no thread");
	my $descriptors = KafkaCluster::descriptors($session->pid);

	$session->run(join "\n;\n", ($failures{$name}) x $times);
	$session->run('SELECT kafka.disconnect_all()');
	ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }), "$name, $times times, leaves no thread");
	is(KafkaCluster::descriptors($session->pid), $descriptors, "$name, $times times, leaves no connection");
}

# Signals while much is sent.
foreach my $table ('now', 'later')
{
	$session->send("INSERT INTO $table SELECT i, repeat('x', 100), i % 2 FROM generate_series(1, 200000) i");
	foreach (1 .. 300)
	{
		kill $_ => $session->pid foreach 'USR1', 'HUP', 'ALRM';
		select(undef, undef, undef, 0.001);
	}
	my ($out, $err) = $session->finish;
	unlike($err, qr/\w/, "$table: signals do no harm");
}
ok( KafkaCluster::wait_for(
		sub {
			$node->safe_psql('postgres', "SELECT count(*) FROM later WHERE b = repeat('x', 100)") == 400000;
		}),
	'all has arrived');
$session->quit;

# A standby writes nothing.
$node->stop;
append_to_file($node->data_dir . '/standby.signal', '');
$node->start;
foreach my $sql ("SELECT kafka.produce('broker', '$topic', 'x')", "SELECT kafka.produce_now('broker', '$topic', 'x')", 'INSERT INTO now VALUES (1)')
{
	my ($seconds, $err) = KafkaCluster::fails($node, $sql);

	like($err, qr/ERROR:  25006: cannot execute .* in a read-only transaction/, 'a standby refuses it');
}
is($node->safe_psql('postgres', "SELECT count(*) > 0 FROM later"), 't', 'and reads');

done_testing();
