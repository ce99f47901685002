# Three brokers: the leader is killed in the middle of a large INSERT, which
# ends with every row in the topic exactly once, or with none that is committed.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = 1_000_000;
my $broker = KafkaBroker->new(name => 'three', brokers => 3);
my $node = KafkaCluster::start(undef);
my $bootstrap = $broker->bootstrap;

$node->safe_psql('postgres', "CREATE SERVER k FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '$bootstrap', timeout '60s')");

# The node that leads partition 0.
sub leader
{
	my ($topic) = @_;
	my ($out) = run_command([ 'kcat', '-b', $bootstrap, '-L', '-t', $topic ]);

	return $out =~ /partition 0, leader (\d)/ ? $1 : 0;
}

sub topic
{
	my ($delivery) = @_;
	my $topic = $broker->create_topic($delivery, partitions => 1);

	$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE $delivery (a int, b text) SERVER k OPTIONS (topic '$topic', format 'csv', delivery '$delivery');
SQL
	return $topic;
}

foreach my $delivery ('immediate', 'commit')
{
	my $topic = topic($delivery);
	my $session = KafkaCluster::session($node);
	my $leader;

	ok(KafkaCluster::wait_for(sub { $leader = leader($topic) }), "$delivery: the topic has a leader");
	$session->run("INSERT INTO $delivery VALUES (0, 'warm'), (0, 'up')");
	my ($before) = $node->safe_psql('postgres', "SELECT high FROM kafka.watermarks('k', '$topic')");
	$session->send("INSERT INTO $delivery SELECT i, repeat('x', 50) FROM generate_series(1, $rows) i");
	ok( KafkaCluster::wait_for(
			sub {
				$node->safe_psql('postgres', "SELECT high > $before + 10000 FROM kafka.watermarks('k', '$topic')") eq 't';
			}),
		"$delivery: some of the INSERT has arrived");
	$broker->kill($leader);
	my ($out, $err) = $session->finish;
	my $expected = $err =~ /ERROR/ ? 0 : $rows;

	note($expected ? "$delivery: the INSERT went through" : "$delivery: the INSERT failed: $err");
	$broker->start($leader);
	if ($delivery eq 'commit' || $expected)
	{
		ok( KafkaCluster::wait_for(
				sub {
					$node->safe_psql('postgres', "SELECT count(*) FROM $delivery WHERE a > 0") == $expected;
				}),
			"$delivery: $expected rows are there");
		is($node->safe_psql('postgres', "SELECT count(DISTINCT a) FROM $delivery WHERE a > 0"),
			$expected, "$delivery: each once");
	}
	else
	{
		my ($delivered) = $err =~ /(\d+) messages were delivered/;

		cmp_ok($node->safe_psql('postgres', "SELECT count(DISTINCT a) FROM $delivery WHERE a > 0"),
			'>=', $delivered, "$delivery: what it says was delivered is there");
	}
	$session->run("INSERT INTO $delivery VALUES (-1, 'x'), (-1, 'y')");
	ok(KafkaCluster::wait_for(sub { $node->safe_psql('postgres', "SELECT count(*) FROM $delivery WHERE a = -1") == 2 }),
		"$delivery: the session goes on");
	$session->quit;
}

# A topic that wants all three in-sync refuses when one is gone.
my $all = $broker->create_topic('all', config => { 'min.insync.replicas' => 3 });
my $leader;
ok(KafkaCluster::wait_for(sub { $leader = leader($all) }), 'a topic that wants all replicas');
my ($gone) = grep { $_ != $leader } 1 .. 3;
$broker->kill($gone);
ok( KafkaCluster::wait_for(
		sub {
			my $topics = join '', map { (run_command([ 'kcat', '-b', $bootstrap, '-L', '-t', $_ ]))[0] } $all, '__transaction_state';

			return $topics =~ /isrs/ && $topics !~ /leader (-1|$gone),|isrs: [\d,]*$gone/;
		}),
	'and others have taken over from the one that is gone');
$node->safe_psql('postgres', q{ALTER SERVER k OPTIONS (SET timeout '2s')});
foreach my $count (1, 2)
{
	my ($seconds, $err) =
	  KafkaCluster::fails($node, "SELECT kafka.produce('k', '$all', 'x') FROM generate_series(1, $count)");

	like($err, qr/ERROR:  08006: could not deliver \d of $count messages to Kafka/, "$count messages: too few replicas fail the commit");
}

done_testing();
