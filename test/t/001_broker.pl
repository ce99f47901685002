# The broker for tests, and what fills it, do what other tests rely on.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;

my $tool = "$FindBin::Bin/../../tools/broker";
my $feed = "$FindBin::Bin/../lib/station_status.py";

# What a message has in it, with \N for NULL.
sub shape
{
	my ($message) = @_;

	return join '|', map { $_ // '\N' } @$message{qw(key value)},
	  map { @$_ } @{ $message->{headers} };
}

sub values_of
{
	my ($broker, $topic) = @_;

	return join ' ', map { $_->{value} } $broker->consume($topic);
}

#
# One node
#
my $broker = KafkaBroker->new(property => { 'message.max.bytes' => 10000 });
my @dir = ('--dir', "$PostgreSQL::Test::Utils::tmp_check/kafka_001_broker_broker");

like($broker->bootstrap, qr/^127\.0\.0\.1:\d+$/, 'the broker has one address');
my ($stdout, $stderr) = run_command([ $tool, 'status', @dir ]);
is((split /\n/, $stdout)[-1],
	$broker->bootstrap, 'status ends with the address');
($stdout, $stderr) = run_command([ $tool, 'start', @dir ]);
is($stdout, $broker->bootstrap, 'start of a running broker prints the address');

# messages come back as they were written
my $topic = $broker->create_topic('shapes', partitions => 2);
my @positions = $broker->produce(
	$topic,
	{ partition => 0, value => 'plain' },
	{ partition => 0, key => 'tombstone', value => undef },
	{ partition => 0, key => '', value => '' },
	{ partition => 0, value => "two\nlines\0and a zero \xff" },
	{
		partition => 1,
		timestamp => 1540219230000,
		key => 'headers',
		value => "\x{20ac}",
		headers => [ [ 'a', '1' ], [ 'a', '' ], [ 'b', undef ] ]
	});
is_deeply(
	\@positions,
	[ [ 0, 0 ], [ 0, 1 ], [ 0, 2 ], [ 0, 3 ], [ 1, 0 ] ],
	'produce says where the messages are');
my @messages = $broker->consume($topic);
is_deeply(
	[ map { shape($_) } @messages ],
	[
		'\N|plain', 'tombstone|\N', '|',
		"\\N|two\nlines\0and a zero \xff",
		"headers|\xe2\x82\xac|a|1|a||b|\\N"
	],
	'messages come back as they were written');
is($messages[4]{timestamp}, 1540219230000, 'and with their timestamp');
is_deeply([ $broker->watermarks($topic) ], [ [ 0, 4 ], [ 0, 1 ] ],
	'watermarks');
ok( !eval { $broker->produce($topic, 'x' x 20000); 1 },
	'produce dies where the broker refuses');

$broker->add_partitions($topic, 3);
$broker->delete_records($topic, 0, 2);
is_deeply([ $broker->watermarks($topic) ],
	[ [ 2, 4 ], [ 0, 1 ], [ 0, 0 ] ],
	'records deleted, a partition added');
$broker->delete_topic($topic);
ok(!eval { $broker->watermarks($topic); 1 }, 'topic deleted');

# a broker that others use too
{
	local $ENV{KAFKA_FDW_TEST_BROKERS} = $broker->bootstrap;
	my $shared = KafkaBroker->from_env;
	my @topics = map { $shared->create_topic('shared') } 1 .. 2;

	isnt($topics[0], $topics[1], 'topics of a shared broker are unique');
	ok(!eval { $shared->stop; 1 }, 'and it cannot be stopped');
}

# a file, and a codec
my $file = "$PostgreSQL::Test::Utils::tmp_check/001_broker_lines";
unlink $file;
append_to_file($file, "1:one\n2:two\n");
$topic = $broker->create_topic('lines');
$broker->with('compression.codec' => 'gzip')
  ->produce_file($topic, $file, key_delimiter => ':');
is(join(' ', map { shape($_) } $broker->consume($topic)),
	'1|one 2|two', 'each line of a file becomes a message');

# transactions
$topic = $broker->create_topic('transactions');
my $client = $broker->with('transactional.id' => 'tx');
my $uncommitted = $broker->with('isolation.level' => 'read_uncommitted');
$broker->produce_transaction($topic, 'commit', 'a');
$broker->produce_transaction($topic, 'abort', 'b');
$client->produce_transaction($topic, 'hang', 'c');
$broker->produce($topic, 'd');
is(values_of($broker, $topic), 'a', 'an open transaction hides what follows');
is(values_of($uncommitted, $topic), 'a b c d', 'except to read_uncommitted');
$client->produce_transaction($topic, 'abort');
is(values_of($broker, $topic), 'a d', 'until it ends');

# pause
$broker->pause;
my $hasty = $broker->with('message.timeout.ms' => 500);
ok( !eval { $hasty->produce($topic, 'e'); 1 },
	'a paused broker does not answer');
$broker->resume;
like(values_of($broker, $topic), qr/^a d/, 'a resumed one does');

# stop and start, the hard way too
my $address = $broker->bootstrap;
$broker->stop;
ok(!$broker->is_running, 'stopped');
command_exit_is([ $tool, 'status', @dir ], 3, 'status says so');
$broker->start;
ok($broker->is_running, 'started');
like(values_of($broker, $topic), qr/^a d/, 'data and address survived');

# a pid file that is out of date
my $foreign = fork();
if ($foreign == 0)
{
	exec 'sleep', '600';
}
my ($pid_file) = ($broker->log_file =~ m{(.*)/log$});
$pid_file .= '/pid';
my $pid = slurp_file($pid_file);
unlink $pid_file;
append_to_file($pid_file, $foreign);
$broker->stop;
$broker->kill;
ok(!$broker->is_running, 'a pid file that names another process is not ours');
is(kill(0, $foreign), 1, 'that process was left alone');
kill 'KILL', $foreign;
waitpid $foreign, 0;
unlink $pid_file;
append_to_file($pid_file, $pid);
$broker->kill;
ok(!$broker->is_running, 'killed');

#
# Three nodes
#
my $three = KafkaBroker->new(name => 'three', brokers => 3);
is(scalar(split /,/, $three->bootstrap), 3, 'three brokers have three addresses');
$topic = $three->create_topic('replicated', partitions => 3);
$three->produce($topic, { partition => 0, value => 'before' });
$three->kill(2);
ok(!$three->is_running(2), 'one is gone');
$three->produce($topic, map { { partition => $_, value => "after$_" } } 0 .. 2);
is(values_of($three, $topic), 'before after0 after1 after2',
	'the others serve all partitions');
$three->start(2);
ok($three->is_running, 'all three run again');

#
# The feed
#
command_like([ $feed, '--check', '--messages', 200 ],
	qr/"rows": 50000/, 'the station feed keeps its rules');
command_like([ $feed, '--stations', 2, '--messages', 1, '--seed', 5 ],
	qr/^\{"last_updated": 1540159200, "ttl": 10, "data": \{"stations": \[\{"station_id": "\d+", "is_installed": 1, /,
	'and its form');

done_testing();
