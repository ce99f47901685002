# A copy of a cluster that writes to Kafka does not fence its original, whose
# producers go on, and the other way round.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker, 'wal_level = replica', 'max_wal_senders = 2');
my $topic = $broker->create_topic('clone', partitions => 2);

$node->safe_psql('postgres', <<"SQL");
ALTER SERVER broker OPTIONS (SET delivery 'commit');
CREATE FOREIGN TABLE k (a int, _partition int) SERVER broker OPTIONS (topic '$topic');
SQL
$node->backup('copy');
my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($node, 'copy');
$clone->start;

# One session of each, with the same backend slot: or they would not meet at all.
my (@opened, %of, $slot);
foreach (1 .. 10)
{
	foreach my $number (0, 1)
	{
		my $session = KafkaCluster::session(($node, $clone)[$number]);
		my ($id) = $session->run('SELECT id FROM pg_stat_get_backend_idset() id WHERE pg_stat_get_backend_pid(id) = pg_backend_pid()');

		push @opened, $session;
		$of{$id}[$number] = $session;
	}
	($slot) = grep { $of{$_}[0] && $of{$_}[1] } keys %of;
	last if defined $slot;
}
ok(defined $slot, 'two sessions have the same backend slot');
my @sessions = @{ $of{$slot} };

my $n = 0;
foreach my $round (1 .. 3)
{
	foreach my $number (0, 1)
	{
		my ($out, $err) = $sessions[$number]->run("INSERT INTO k SELECT $n, i % 2 FROM generate_series(1, 10) i");

		is($err, '', ($number ? 'the copy' : 'the original') . " commits, $round");
		$n++;
	}
}
ok( KafkaCluster::wait_for(
		sub { $node->safe_psql('postgres', 'SELECT string_agg(n::text, \' \') FROM (SELECT count(*) AS n FROM k GROUP BY a) x') eq join ' ', (10) x $n }),
	'all transactions of both are there');

$_->quit foreach @opened;
$clone->stop;
$node->stop;
done_testing();
