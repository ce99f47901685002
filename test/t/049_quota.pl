# A client that Kafka slows down by a quota gets everything right, only later,
# and can be cancelled meanwhile.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaIngest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# Kafka looks at the last one second.
my $broker = KafkaBroker->new(name => 'quota', property => { 'quota.window.num' => 2 });
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub quota
{
	my ($rate) = @_;
	my $names = 'producer_byte_rate,consumer_byte_rate';

	$broker->command('kafka.admin.ConfigCommand', '--alter',
		'--entity-type' => 'clients', '--entity-default',
		defined $rate ? ('--add-config' => $names =~ s/_rate\b/_rate=$rate/gr) : ('--delete-config' => $names));
	return;
}

$broker->create_topic($_) for 'full', 'now', 'later';
$broker->with('compression.codec' => 'none')->fill('full', 2000, 1000, 0);
my $options = "compression_type 'none', batch_size '50000'";
sql(<<"SQL");
CREATE FOREIGN TABLE n_feed (n int, t text, _partition int, _offset bigint) SERVER broker
	OPTIONS (topic 'full', format 'json');
CREATE TABLE n (n int, t text, _partition int, _offset bigint);
CREATE FOREIGN TABLE now (a int, b text) SERVER broker OPTIONS (topic 'now', delivery 'immediate', $options);
CREATE FOREIGN TABLE later (a int, b text) SERVER broker OPTIONS (topic 'later', delivery 'commit', $options);
SQL
my $scan = 'SELECT count(*), sum(n) FROM n_feed';
my $insert = q(INSERT INTO %s SELECT %d, repeat('x', 1000) FROM generate_series(1, 2000));
my $session = KafkaCluster::session($node);

# About 2 MB each, at 700 kB a second.
quota(700000);
ok( KafkaCluster::wait_for(
		sub {
			my $start = time();

			$session->run($scan);
			return time() - $start > 0.5;
		}),
	'the broker knows the quota');
is(seconds($scan), '2000|1999000', 'a scan');
is(seconds(sprintf $insert, 'now', 1), '', 'delivery immediate');
is(seconds(sprintf $insert, 'later', 1), '', 'delivery commit');
$node->subscribe('n');
is($node->count_once('n'), 2000, 'a subscription has every message once');

# At 100 kB a second it would be a while.
quota(100000);
foreach my $sql ($scan, sprintf($insert, 'now', 2), sprintf($insert, 'later', 2))
{
	my ($what) = $sql =~ /^(SELECT|INSERT INTO \w+)/;

	$session->send($sql);
	ok( $node->poll_query_until('postgres',
			"SELECT wait_event_type = 'Extension' AND clock_timestamp() > query_start + interval '1 s'
				FROM pg_stat_activity WHERE pid = " . $session->pid),
		"$what waits");
	my $start = time();
	sql('SELECT pg_cancel_backend(' . $session->pid . ')');
	my ($out, $err) = $session->finish;
	like($err, qr/ERROR:  57014: canceling statement due to user request/, "$what can be cancelled");
	cmp_ok(time() - $start, '<', 10, 'at once');
}

# Without the quota all is as it was.
quota(undef);
$session->run(sprintf $insert, $_, 3) for 'now', 'later';
ok( KafkaCluster::wait_for(
		sub { sql('SELECT count(*) FROM later WHERE a = 3') eq '2000' }),
	'what is written later is seen');
is(sql('SELECT a, count(*) FROM later GROUP BY a ORDER BY a'), "1|2000\n3|2000", 'commit: each once, nothing of what was cancelled');
is(sql('SELECT a, count(*) FROM now WHERE a <> 2 GROUP BY a ORDER BY a'), "1|2000\n3|2000", 'immediate: each once');
is(($session->run($scan))[0], '2000|1999000', 'the session goes on');
$session->run('SELECT kafka.disconnect_all()');
ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }), 'and has no thread left');

$session->quit;
$node->stop;
done_testing();

# Runs what is slowed down and returns its output.
sub seconds
{
	my ($sql) = @_;
	my $start = time();
	my ($out, $err) = $session->run($sql);

	unlike($err, qr/\w/, "no error: $sql");
	cmp_ok(time() - $start, '>', 0.5, 'it is slowed down');
	return $out;
}
