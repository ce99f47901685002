# A scan of 2 GB needs no more memory than kafka_fdw.fetch_memory and what the
# manual allows on top, however slow the reader is and however large a message;
# and it gives the memory back.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What may come on top of the parameter's value, in MB: what a backend is
# without any scan, what the last responses were unpacked to, and the C
# library's share.
my $allowance = 32;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker);

# Memory of a process in MB: VmRSS, VmHWM.
sub memory
{
	my ($session, $what) = @_;
	my ($kb) = slurp_file('/proc/' . $session->pid . '/status') =~ /^$what:\s*(\d+) kB/m;

	return $kb / 1024;
}

# Runs a query in a new session, and says what it has given and how many MB the
# backend has grown by at most, and in the end.
sub growth
{
	my ($sql, @settings) = @_;
	my $session = KafkaCluster::session($node);
	my ($before, $peak, $after, $out);

	$session->run($_) for "SELECT * FROM warm", @settings;
	append_to_file('/proc/' . $session->pid . '/clear_refs', '5');    # the peak anew
	$before = memory($session, 'VmRSS');
	($out) = $session->run($sql);
	$peak = memory($session, 'VmHWM') - $before;
	$after = memory($session, 'VmRSS') - $before;
	$session->quit;
	note sprintf('%s: %.0f MB more at most, %.0f MB in the end', $sql, $peak, $after);
	return ($out, $peak, $after);
}

# Creates a topic and its table, and fills it with messages of which so many
# bytes cannot be compressed.
sub fill
{
	my ($table, $count, $bytes, $random, %config) = @_;
	my $topic = $broker->create_topic("memory_$table", partitions => 4,
		config => { 'max.message.bytes' => 8_000_000, %config });

	$broker->with('compression.codec' => 'zstd', 'linger.ms' => 20,
		'batch.size' => 1_000_000, 'message.max.bytes' => 8_000_000)
	  ->fill($topic, $count, $bytes, $random);
	$node->safe_psql('postgres',
		"CREATE FOREIGN TABLE $table (n int, t text, _offset bigint) SERVER broker OPTIONS (topic '$topic')");
	return;
}

fill('warm', 1, 100, 0);
fill('large_topic', 2_000_000, 1000, 100);

for my $case (
	[ 'what is counted only' => 'SELECT count(*) FROM large_topic', '2000000' ],
	[ 'what is decoded' => 'SELECT sum(n) FROM large_topic', '1999999000000' ],
	[   'what is read slowly' =>
		  'SELECT sum(n) FROM large_topic WHERE n % 2000 <> 0 OR pg_sleep(0.002) IS NULL',
		'1999000000000' ])
{
	my ($name, $sql, $result) = @$case;
	my ($out, $peak, $after) = growth($sql);

	is($out, $result, "2 GB: $name");
	cmp_ok($peak, '<=', 64 + $allowance, "2 GB: memory for $name");
	cmp_ok($after, '<=', $allowance, "2 GB: memory after $name");
}

# In the middle of a scan whose reader is away.
my $session = KafkaCluster::session($node);
my $before = memory($session, 'VmRSS');
$session->run('BEGIN; DECLARE c CURSOR FOR SELECT * FROM large_topic; FETCH 1 FROM c');
my $waiting = 0;
ok( KafkaCluster::wait_for(
		sub {
			my $now = memory($session, 'VmRSS');
			my $still = $now <= $waiting;

			$waiting = $now;
			select(undef, undef, undef, 0.1);
			return $still;
		}),
	'fetching ahead comes to its end');
cmp_ok($waiting - $before, '<=', 64 + $allowance, 'with the memory for it');
is(($session->run('FETCH 3 FROM c; COMMIT'))[0] =~ tr/\n//, 2, 'and the reader finds its rows');
$session->quit;

# A response is unpacked as a whole, and messages may be compressed 200 to one.
fill('compressed', 500_000, 1000, 0);
my ($out, $peak, $after) = growth('SELECT count(*), sum(n) FROM compressed');
is($out, '500000|124999750000', 'well compressed: what is decoded');
cmp_ok($peak, '<=', 64 + $allowance, 'well compressed: memory');

# Less memory is less.
($out, $peak, $after) = growth('SELECT sum(n) FROM compressed', "SET kafka_fdw.fetch_memory = '4MB'");
is($out, '124999750000', '4 MB: what is decoded');
cmp_ok($peak, '<=', 4 + 2 * $allowance, '4 MB: memory');

# A message is read whatever its size is.
fill('large_messages', 200, 5_000_000, 500_000);
for my $megabytes (64, 1)
{
	($out, $peak) = growth('SELECT count(*), sum(length(t)) FROM large_messages',
		"SET kafka_fdw.fetch_memory = '${megabytes}MB'");
	is($out, '200|999996310', "$megabytes MB: messages of 5 MB");
	cmp_ok($peak, '<=', $megabytes + 2 * $allowance, "$megabytes MB: memory for them");
}

done_testing();
