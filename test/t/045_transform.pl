# From topic to topic: what a subscription inserts goes on to another topic, in
# the transaction that moves its position.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaIngest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $batch = 500;
my $kills = 4;
my $broker = KafkaBroker->from_env;
my $from = $broker->create_topic('from', partitions => 2);
my $to = $broker->create_topic('to', partitions => 2);
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

$node->numbers('n', $from);
# What a killed worker leaves open keeps readers waiting for a minute, unless the
# next one has the same slot.
sql(q(ALTER SERVER broker OPTIONS (SET delivery 'commit', ADD transaction_timeout_ms '10000')));
sql(qq(CREATE FOREIGN TABLE passed_on (_key text, n int, word text) SERVER broker OPTIONS (topic '$to');
	CREATE TRIGGER pass_on AFTER INSERT ON n FOR EACH ROW EXECUTE FUNCTION kafka.produce_row('broker', '$to', 'n')));

# Messages that were passed on, and how many different ones.
sub passed
{
	my ($n) = @_;

	$node->wait_true("SELECT count(DISTINCT _key) >= $n FROM passed_on") or die 'messages are missing';
	return split /\|/, sql('SELECT count(*), count(DISTINCT _key) FROM passed_on');
}

sub produce
{
	my ($first, $last) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/transform.csv";

	open my $lines, '>', $file or die "$file: $!";
	print $lines "$_,word\n" foreach $first .. $last;
	close $lines;
	$broker->produce_file($from, $file);
}

$node->subscribe('n', "batch_rows => $batch, batch_interval => '10 ms'");
produce(1, 5000);
is($node->count_once('n'), 5000, 'rows are in the table once');
my ($count, $different) = passed(5000);
is("$count|$different", '5000|5000', 'and are passed on once');

# A worker that is stopped between its batches repeats nothing.
sql(q(SELECT kafka.disable_subscription('n')));
produce(5001, 6000);
sql(q(SELECT kafka.enable_subscription('n')));
is($node->count_once('n'), 6000, 'the table after a pause');
($count, $different) = passed(6000);
is("$count|$different", '6000|6000', 'passed on once, also after a pause');

# One that is killed repeats at most the batch that it had in hand.
my $old = $node->worker_pid('n');
foreach my $kill (1 .. $kills)
{
	produce(5000 + $kill * 1000 + 1, 6000 + $kill * 1000);
	usleep(1000 * int rand 60);
	kill 'KILL', $old;
	$node->wait_true("SELECT count(*) = 1 FROM kafka.stat_subscription WHERE pid <> $old") or die 'no new worker';
	$old = $node->worker_pid('n');
}
my $all = 6000 + $kills * 1000;
is($node->count_once('n'), $all, 'the table over crashes: each once');
($count, $different) = passed($all);
is($different, $all, 'over crashes: each is passed on');
cmp_ok($count - $different, '<=', $kills * $batch, 'and repeated only in the window');
note($count - $different, ' were repeated');

done_testing();
