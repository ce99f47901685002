# Two servers share a topic by partitions: together they have each message once.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('shared', partitions => 4);
my $first = KafkaIngest->start_with($broker);
my $second = bless PostgreSQL::Test::Cluster->new('second'), 'KafkaIngest';
$second->init;
$second->append_conf('postgresql.conf', "shared_preload_libraries = 'kafka_fdw'\nrestart_after_crash = on");
$second->start;
$second->prepare_database($broker, 'postgres');
my $n = 0;

sub hundred
{
	$broker->produce($topic, map { $n++; { value => "$n,x", partition => $n % 4 } } 1 .. 100);
	return;
}

# The partitions and rows of both, as they are told apart.
sub is_shared
{
	my ($name) = @_;
	my @partitions;
	my %seen;

	foreach my $server ($first, $second)
	{
		$server->wait_applied('n') or die 'does not catch up';
		push @partitions, $server->safe_psql('postgres',
			'SELECT string_agg(DISTINCT _partition::text, $$ $$) FROM n');
		$seen{$_}++ foreach split /\n/,
		  $server->safe_psql('postgres', 'SELECT _partition, _offset FROM n');
	}
	is_deeply(\@partitions, [ '0 1', '2 3' ], "$name: each has its partitions");
	is(scalar(keys %seen), $n, "$name: together they have all messages");
	is(scalar(grep { $_ > 1 } values %seen), 0, "$name: each once");
	return;
}

hundred();
$_->numbers('n', $topic) foreach $first, $second;
$first->subscribe('n', q(partitions => '{0,1}'));
$second->subscribe('n', q(partitions => '{2,3}', workers => 2));
is_shared('at first');
my $pid = $second->worker_pid('n');
kill 'KILL', $pid;
hundred();
$second->wait_true("SELECT pid <> $pid FROM kafka.stat_subscription");
is_shared('after a crash of one');
$first->stop('immediate');
hundred();
$first->start;
is_shared('after a restart of the other');

$_->stop foreach $first, $second;
done_testing();
