# A batch that is damaged on the broker's disk stops whoever reads it, with an
# error that says where: nobody gets what is in it, and nobody passes it by.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaIngest;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->new(name => 'corrupt');
my $node = KafkaIngest->start_with($broker);
my $topic = $broker->create_topic('corrupt');
my ($segment) = glob($broker->log_file =~ s/log$/data/r . "/$topic-0/*0.log");

sub sql { return $node->safe_psql('postgres', @_); }

# Changes bytes of the segment in place, as a bad disk does; returns what they
# were.
sub overwrite
{
	my ($position, $bytes) = @_;
	my $old;

	open(my $file, '+<:raw', $segment) or die "$segment: $!";
	seek($file, $position, 0);
	read($file, $old, length $bytes);
	seek($file, $position, 0);
	print $file $bytes;
	close($file) or die "$segment: $!";
	return $old;
}

# CRC-32C, which is Kafka's.
sub crc
{
	my ($bytes) = @_;
	my $crc = 0xFFFFFFFF;

	foreach my $byte (unpack 'C*', $bytes)
	{
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
	}
	return $crc ^ 0xFFFFFFFF;
}

# Three batches: [0, 100), [100, 200), [200, 300).
my $producer = $broker->with('linger.ms' => 20000);    # a flush ends it
$producer->produce($topic, map { "$_,first" } 0 .. 99);
$producer->produce($topic, map { "$_,second" } 100 .. 199);
$producer->produce($topic, map { "$_,third" } 200 .. 299);
my $damaged = index(slurp_file($segment), '150,second');
cmp_ok($damaged, '>', 0, 'the segment file has the message');
$node->numbers('n', $topic);

# One digit has become another: still csv.
my $sound = overwrite($damaged, '151');
is(sql(qq(CREATE FOREIGN TABLE unchecked (n int, word text, _offset bigint) SERVER broker
		OPTIONS (topic '$topic', format 'csv', "check.crcs" 'false');
		SELECT n FROM unchecked WHERE _offset = 150)),
	'151', 'without check.crcs a scan returns what is wrong');

my $error = qr/could not read partition 0 of topic "$topic": Local: Bad message format/;
my $where = qr/MessageSet at offset 100 .*failed CRC32C check/;
foreach my $query ('SELECT count(*) FROM n_feed', 'SELECT n FROM n_feed WHERE _offset = 150', 'ANALYZE n_feed',
	"SELECT * FROM kafka.tail('broker', '$topic', 150)")
{
	my ($seconds, $err) = KafkaCluster::fails($node, $query);

	like($err, qr/ERROR:  XX001: $error.*DETAIL:  $where/s, 'a reader of the batch is told where it is');
	cmp_ok($seconds, '<', KafkaCluster::SOON, 'promptly');
}
is(sql('SELECT count(*) FROM n_feed WHERE _offset < 100'), '100', 'what is before it can be read');
is(sql('SELECT count(*), min(n) FROM n_feed WHERE _offset >= 200'), '100|200', 'and what is behind it');

# A subscription stores what is before, and does not go on.
$node->subscribe('n');
$node->wait_state('n', 'retrying') or die 'the subscription does not stop';
like($node->error_of('n'), qr/$error.*SQLSTATE: XX001.*DETAIL: $where/s, 'a subscription is told, too');
ok($node->wait_true('SELECT count(*) = 100 AND max(_offset) = 99 FROM n'), 'it has what is before, and nothing else');
is(sql('SELECT next_offset FROM kafka.subscription_position'), '100', 'its position is there');
ok($node->wait_true('SELECT retries >= 2 FROM kafka.stat_subscription'), 'it tries again');
is(sql('SELECT count(*) FROM n'), '100', 'with the same result');

# A sound replica, so to speak.
overwrite($damaged, $sound);
sql(q(SELECT kafka.enable_subscription('n')));
is($node->count_once('n'), 300, 'nothing is lost once it can be read');
is(sql('SELECT count(*), sum(n) FROM n_feed'), '300|44850', 'by a scan neither');

# A codec that does not exist, with a checksum that is right: magic 2 has the
# checksum at 17 of a batch, attributes at 21, and the length without the first
# 12 bytes at 8.
my $bytes = slurp_file($segment);
my $batch = 0;
$batch += 12 + unpack('N', substr($bytes, $batch + 8, 4)) until unpack('Q>', substr($bytes, $batch, 8)) == 100;
my $rest = substr($bytes, $batch + 21, unpack('N', substr($bytes, $batch + 8, 4)) - 9);
is(crc($rest), unpack('N', substr($bytes, $batch + 17, 4)), 'a checksum as Kafka has it');
substr($rest, 1, 1) = chr(7);
$sound = overwrite($batch + 17, pack('N', crc($rest)) . $rest);
my ($seconds, $err) = KafkaCluster::fails($node, 'SELECT count(*) FROM n_feed');
like($err, qr/ERROR:  0A000: could not read partition 0 of topic "$topic": .*DETAIL:  Decompression \(codec 0x7\) of message at 100 /s,
	'what cannot be decompressed is an error');
cmp_ok($seconds, '<', KafkaCluster::SOON, 'promptly');

# Who has given it up passes it by.
$node->numbers('later', $topic);
$node->subscribe('later');
$node->wait_state('later', 'retrying') or die 'the subscription does not stop';
sql(q(SELECT kafka.seek_subscription('later', '200', partition => 0)));
ok($node->wait_applied('later'), 'a subscription that is moved past the batch goes on');
is(sql('SELECT count(*), count(*) FILTER (WHERE _offset BETWEEN 100 AND 199) FROM later'), '200|0', 'without it');
overwrite($batch + 17, $sound);

# A last message that goes beyond the end of its batch, as if it were cut off: the
# byte before a value is its length.
$bytes = slurp_file($segment);
$rest = substr($bytes, $batch + 21, unpack('N', substr($bytes, $batch + 8, 4)) - 9);
my $length = index($rest, '199,second') - 1;
is(unpack('C', substr($rest, $length, 1)), 20, 'a length as Kafka has it');
substr($rest, $length, 1) = chr(126);
overwrite($batch + 17, pack('N', crc($rest)) . $rest);
sql(q(ALTER SERVER broker OPTIONS (ADD timeout '5s')));
($seconds, $err) = KafkaCluster::fails($node, 'SELECT count(*) FROM n_feed');
like($err, qr/ERROR:  08006: no answer from Kafka for 5000 ms.*DETAIL:  Partition 0 of topic "$topic" has been read to offset 199, of 300/s,
	'what is cut off is an error that says where');
is(sql('SELECT count(*) FROM n_feed WHERE _offset < 199'), '199', 'what is before it can be read');
is(sql('SELECT count(*) FROM n_feed WHERE _offset >= 200'), '100', 'and what is behind it');

$node->stop;
done_testing();
