# A worker needs no more than 64 MB beside what any idle backend has, whatever the
# backlog.
#
# Measured is RssAnon of /proc/PID/status, the memory that a process has for itself,
# every few ms; shared buffers and libraries are not in it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $limit = 64;    # MB

plan skip_all => 'no RssAnon' unless -r '/proc/self/status' && slurp_file('/proc/self/status') =~ /RssAnon/;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker, 'max_wal_size = 4GB', 'shared_buffers = 64MB');

sub sql { return $node->safe_psql('postgres', @_); }

# MB of a process, none of one that has ended.
sub memory
{
	my ($pid) = @_;
	my $status = eval { slurp_file("/proc/$pid/status") } // '';

	return $status =~ /^RssAnon:\s*(\d+) kB/m ? $1 / 1024 : 0;
}

# Subscribes, and returns the most that one of its workers has had until all is
# applied.
sub peak
{
	my ($name, $arguments) = @_;
	my $peak = 0;
	my $all = "FROM kafka.stat_subscription WHERE subscription = '$name'";

	$node->subscribe($name, $arguments);
	$node->wait_true("SELECT cardinality(pids) = (SELECT workers FROM kafka.subscription WHERE subscription = '$name') $all")
	  or die "no workers for $name";
	my @pids = split / /, sql("SELECT array_to_string(pids, ' ') $all");
	my $waiting = KafkaCluster::session($node);
	$waiting->send("SELECT kafka.wait_for_subscription('$name', '2 min')");
	until ($waiting->{out} =~ /-=done=-/)
	{
		foreach (@pids)
		{
			my $now = memory($_);

			$peak = $now if $now > $peak;
		}
		select undef, undef, undef, 0.005;
		$waiting->{psql}->pump_nb;
	}
	my ($applied) = $waiting->finish;
	is($applied, 't', "$name: all is applied");
	$waiting->quit;
	return $peak;
}

my $idle = KafkaCluster::session($node);
my $base = memory($idle->pid);
my (%topic, %count);

# Adds messages to a topic: so many, of so many bytes each, of which some are random.
sub fill
{
	my ($name, $codec, $count, $bytes, $random) = @_;

	$topic{$name} //= $broker->create_topic("backlog_$name", partitions => 4);
	$broker->with('compression.codec' => $codec, 'linger.ms' => 20, 'batch.size' => 1_000_000)
	  ->fill($topic{$name}, $count, $bytes, $random);
	$count{$name} += $count;
	return;
}

fill('large', 'lz4', 1_000_000, 330, 100);
fill('small', 'lz4', 1_000_000, 40, 0);
# a response is unpacked as a whole
fill('zstd', 'zstd', 500_000, 1000, 0);
fill('gzip', 'gzip', 300_000, 1000, 0);
foreach (1 .. 3)
{
	fill('mixed', 'none', 20_000, 500, 450);
	fill('mixed', 'zstd', 150_000, 1000, 0);
}
foreach my $case (
	[ 'one', 'large', '' ],
	[ 'several', 'large', 'workers => 2' ],
	[ 'small', 'small', '' ],
	[ 'zstd', 'zstd', '' ],
	[ 'shared', 'zstd', 'workers => 2' ],
	[ 'gzip', 'gzip', '' ],
	[ 'mixed', 'mixed', '' ])
{
	my ($name, $source, $arguments) = @$case;

	sql(qq(CREATE FOREIGN TABLE ${name}_feed (n int, t text, _partition int, _offset bigint)
			SERVER broker OPTIONS (topic '$topic{$source}');
		CREATE UNLOGGED TABLE $name (n int, _partition int, _offset bigint)));
	my $peak = peak($name, $arguments) - $base;
	note sprintf('%s: %.1f MB above the %.1f MB of an idle backend', $name, $peak, $base);
	cmp_ok($peak, '<=', $limit, "$name: memory of a worker");
	is(sql("SELECT count(*), count(DISTINCT (_partition, _offset)) FROM $name"),
		"$count{$source}|$count{$source}", "$name: each message is there once");
	sql("SELECT kafka.drop_subscription('$name'); DROP TABLE $name");
}
$idle->quit;

$node->stop;
done_testing();
