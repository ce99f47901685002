# Administration without a broker, and with one that no longer answers: ends in
# time, says why, can be cancelled, and leaves nothing behind.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $broker = KafkaBroker->new;
my $node = KafkaCluster::start($broker);
$broker->create_topic('t');
$broker->produce('t', 'x');

# Functions by what they wait for.
my %functions = (
	'a thread with the metadata' => q{kafka.partitions('%s', 't')},
	'a thread with the cluster' => q{kafka.brokers('%s')},
	'the controller' => q{kafka.alter_topic_config('%s', 't', '{"retention.ms": 1000}')},
	'the controller, other' => q{kafka.add_partitions('%s', 't', 5)},
	'the leaders' => q{kafka.delete_records('%s', 't', 0, 1)},
	'any broker' => q{kafka.topic_config('%s', 't')},
	'all brokers' => q{kafka.consumer_groups('%s')},
	'the coordinator' => q{kafka.group_offsets('%s', 'g')},
	'the coordinator, changing' => q{kafka.delete_group('%s', 'g')},
	'the coordinator, then leaders' => q{kafka.reset_group_offsets('%s', 'g', 't', start => 'latest', dry_run => false)},
	'the controller, acls' => q{kafka.acls('%s')},
	'the controller, create_acl' => q{kafka.create_acl('%s', 'topic', 't', 'User:a', 'read')},
	'messages' => q{kafka.tail('%s', 't')});

KafkaCluster::server($node, 'refused', '127.0.0.1:9', "timeout '1500ms'");
KafkaCluster::server($node, 'paused', $broker->bootstrap, "timeout '500ms'");
my $session = KafkaCluster::session($node);
$session->run(q{SELECT * FROM kafka.reset_group_offsets('broker', 'g', 't', start => 'latest', dry_run => false)});
my $descriptors = KafkaCluster::descriptors($session->pid);

# This session has been connected before the broker stops to answer.
$session->run("SELECT * FROM kafka.partitions('paused', 't')");
$broker->pause;
for my $name (sort keys %functions)
{
	for my $server ($name =~ /,/ ? ('paused') : ('paused', 'refused'))
	{
		my $start = time();
		my (undef, $err) = $session->run('SELECT * FROM ' . sprintf $functions{$name}, $server);

		cmp_ok(time() - $start, '<', KafkaCluster::SOON, "$name, $server: in time");
		like($err, qr/ERROR:  08006: (could not|no answer)/, "$name, $server: a connection failure");
		like($err, qr/DETAIL:.*Connection refused/, "$name, refused: with its reason")
		  if $server eq 'refused';
	}
}

# A wait of half a minute ends as soon as it is cancelled.
for my $name (sort keys %functions)
{
	my $sql = 'SELECT * FROM ' . sprintf $functions{$name}, 'broker';
	my $start = time();
	my (undef, $err) = $session->run("SET statement_timeout = 100; $sql");

	like($err, qr/ERROR:  57014: canceling statement due to statement timeout/, "$name: statement_timeout");
	cmp_ok(time() - $start, '<', KafkaCluster::SOON, "$name: at once");
	$session->run('RESET statement_timeout');
}

# The session goes on.  What has been cancelled may have reached the broker.
$broker->resume;
ok( KafkaCluster::wait_for(sub { ($session->run("SELECT count(*) FROM kafka.topic_config('broker', 't')"))[0] =~ /^\d\d/ }),
	'the broker answers again');
ok( KafkaCluster::wait_for(sub { ($session->run("SELECT latest FROM kafka.partitions('broker', 't') WHERE partition = 0"))[0] eq '1' }),
	'as before');
$session->run('SELECT kafka.disconnect_all()');
ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }), 'no thread is left');
ok(KafkaCluster::wait_for(sub { KafkaCluster::descriptors($session->pid) <= $descriptors }), 'no socket is left');
$session->quit;

done_testing();
