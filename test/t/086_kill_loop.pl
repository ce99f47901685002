# kill -9 again and again, of workers, sessions, the server and the broker, while
# messages arrive: each message is in the table once.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use POSIX ();
use Time::HiRes qw(usleep);

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $kills = $ENV{KAFKA_FDW_KILLS} // 50;
my $chunk = 2000;
my $workers = 2;

my $broker = KafkaBroker->new;
my $topic = $broker->create_topic('kills', partitions => 4);
my $node = KafkaIngest->start_with($broker, 'shared_buffers = 64MB');
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my ($stop, $count) = ("$tmp/kills.stop", "$tmp/kills.count");

$node->numbers('n', $topic, constraints => 'PRIMARY KEY (_partition, _offset)');
$node->subscribe('n', "workers => $workers, batch_rows => 300, batch_interval => '10 ms'");
$node->worker_pid('n');

# produces chunks until it is told to stop, and says how many messages that were
my $parent = $$;
my $producer = fork // die "fork: $!";
if ($producer == 0)
{
	my $produced = 0;

	# nothing here may end as a test ends, which would stop server and broker
	my $all = eval {
		until (-e $stop || getppid() != $parent)
		{
			$broker->produce($topic, map { "$_,some text to make it longer" }
				  $produced + 1 .. $produced + $chunk);
			$produced += $chunk;
			usleep(50_000);
		}
		append_to_file($count, $produced);
		1;
	};
	append_to_file("$tmp/kills.error", $@) unless $all;
	POSIX::_exit($all ? 0 : 1);
}

sub pids
{
	return split ' ', $node->safe_psql('postgres',
		q(SELECT array_to_string(pids, ' ') FROM kafka.stat_subscription));
}

sub wait_workers
{
	my (@old) = @_;
	my $old = join ',', @old, 0;

	$node->wait_true(
		"SELECT cardinality(pids) = $workers AND NOT pids && ARRAY[$old] FROM kafka.stat_subscription")
	  or die 'no new workers';
	return;
}

my %kill = (
	worker => sub { my ($pids) = @_; return kill 'KILL', $pids->[ rand @$pids ]; },
	session => sub {
		my $session = KafkaCluster::session($node);
		$session->send('SELECT count(*) FROM n, pg_sleep(10)');
		my $killed = kill 'KILL', $session->pid;
		$session->{psql}->kill_kill;
		return $killed;
	},
	postmaster => sub {
		KafkaCluster::kill_server($node);
		$node->start;
		return 1;
	},
	broker => sub { $broker->kill; usleep(rand 200_000); $broker->start; return 1; });

my $done = 0;
my @plan = (('worker') x 6, ('session') x 2, 'postmaster', 'broker');
for my $i (1 .. $kills)
{
	my $what = $plan[ $i % @plan ];

	usleep(rand 200_000);
	my @pids = pids();
	$done++ if $kill{$what}->(\@pids);
	wait_workers($what eq 'broker' ? () : @pids);
}
append_to_file($stop, '');
waitpid $producer, 0;

is($?, 0, 'all messages were produced') or die slurp_file("$tmp/kills.error");
is($done, $kills, "$kills kills");
is($node->faults('n', slurp_file($count)), '', 'each message is in the table once');

$node->stop;
done_testing();
