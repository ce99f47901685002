# Without a broker every statement fails within the configured time, says why,
# and can be cancelled.

use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = KafkaCluster::start();

# Nobody listens on one port; on the other somebody does and never answers.
my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $!;
KafkaCluster::server($node, 'refused', '127.0.0.1:9', "timeout '1s'");
KafkaCluster::server($node, 'silent', '127.0.0.1:' . $silent->sockport, "timeout '1s'");
for my $server ('refused', 'silent')
{
	$node->safe_psql('postgres',
		"CREATE FOREIGN TABLE $server (a int) SERVER $server OPTIONS (topic 't')");
}

my %statements = (
	'scan' => 'SELECT * FROM %s',
	'insert' => 'INSERT INTO %s VALUES (1)',
	'topics' => q{SELECT * FROM kafka.topics('%s')},
	'watermarks' => q{SELECT * FROM kafka.watermarks('%s', 't')},
	'create topic' => q{SELECT kafka.create_topic('%s', 't')},
	'delete topic' => q{SELECT kafka.delete_topic('%s', 't')},
	'produce' => q{SELECT * FROM kafka.produce_now('%s', 't', 'x')},
);
for my $name (sort keys %statements)
{
	for my $server ('refused', 'silent')
	{
		my $sql = sprintf($statements{$name}, $server);
		my ($seconds, $err) = KafkaCluster::fails($node, $sql);

		# A second is what was asked for, the default is half a minute.
		cmp_ok($seconds, '<', 15, "$name, $server: in time");
		like($err, qr/ERROR:  08006: could not/, "$name, $server: a connection failure");
		like($err, qr/DETAIL:.*Connection refused/, "$name, $server: with its reason")
		  if $server eq 'refused';
	}
}

# A wait of a minute ends as soon as it is cancelled, or its time is up.
$node->safe_psql('postgres', "ALTER SERVER silent OPTIONS (SET timeout '1min')");
my $session = KafkaCluster::session($node);
for my $name (sort keys %statements)
{
	my $sql = sprintf($statements{$name}, 'silent');
	my $start = time();
	my (undef, $err) = $session->run("SET statement_timeout = 200; $sql");

	like($err, qr/ERROR:  57014: canceling statement due to statement timeout/,
		"$name: statement_timeout");
	note sprintf('%s: statement_timeout of 200 ms after %.0f ms', $name, 1000 * (time() - $start));
	cmp_ok(time() - $start, '<', KafkaCluster::SOON, "$name: at once");
	$session->run('RESET statement_timeout');

	$session->send($sql);
	ok( KafkaCluster::wait_for(
			sub {
				$node->safe_psql('postgres',
					"SELECT count(*) FROM pg_stat_activity WHERE pid = "
					  . $session->pid
					  . " AND wait_event_type = 'Extension' AND state = 'active'") eq '1';
			}),
		"$name: waits");
	$start = time();
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
	(undef, $err) = $session->finish;
	like($err, qr/ERROR:  57014: canceling statement due to user request/, "$name: cancel");
	cmp_ok(time() - $start, '<', KafkaCluster::SOON, "$name: cancelled at once");
}

# The session is as before: usable, with one thread and no socket but its own.
is(($session->run('SELECT 1'))[0], '1', 'the session goes on');
ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }),
	'no thread is left');
$session->quit;

# A backend that waits for a silent broker does not hold up a shutdown.
$session = KafkaCluster::session($node);
$session->send('SELECT * FROM silent');
my $start = time();
$node->stop('fast');
cmp_ok(time() - $start, '<', KafkaCluster::SOON, 'fast shutdown while a scan waits');

done_testing();
