# Three brokers: leaders and the controller are killed and brokers are bounced while
# messages arrive, and each is in the table once; a log that lost its tail in an
# unclean election stops the subscription.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use POSIX ();
use Time::HiRes qw(usleep);

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->new(name => 'three', brokers => 3);
my $topic = $broker->create_topic('cluster', partitions => 3);
my $node = KafkaIngest->start_with($broker);
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my ($stop, $count) = ("$tmp/cluster.stop", "$tmp/cluster.count");

sub sql { return $node->safe_psql('postgres', @_); }

# The node that leads a partition, of those that run.
sub leader
{
	my ($name, $partition) = @_;
	my $leader;

	KafkaCluster::wait_for(
		sub {
			my ($out) = run_command([ 'kcat', '-b', $broker->bootstrap, '-L', '-t', $name ]);
			($leader) = $out =~ /partition $partition, leader (\d)/;
			return $leader;
		}) or die 'no leader';
	return $leader;
}

# The node that controls the cluster.
sub controller
{
	my ($node) = $broker->tool(undef, 'org.apache.kafka.tools.MetadataQuorumCommand',
		'--bootstrap-server' => $broker->bootstrap, 'describe', '--status') =~ /^LeaderId:\s*(\d)/m;

	return $node // die 'no controller';
}

# Waits until what has been produced so far is in the table.
sub is_read
{
	my ($what) = @_;

	$broker->produce($topic, '0,mark');
	ok($node->wait_true("SELECT kafka.wait_for_subscription('n', '20 s')"),
		"messages are read after $what");
	return;
}

$node->numbers('n', $topic);
$node->subscribe('n', q(batch_rows => 200));
$node->worker_pid('n');

my $parent = $$;
my $producer = fork // die "fork: $!";
if ($producer == 0)
{
	my $produced = 0;

	# nothing here may end as a test ends, which would stop server and brokers
	my $all = eval {
		until (-e $stop || getppid() != $parent)
		{
			$broker->produce($topic,
				map { { value => "$_,some text", partition => $_ % 3 } }
				  $produced + 1 .. $produced + 1000);
			$produced += 1000;
			usleep(20_000);
		}
		append_to_file($count, $produced);
		1;
	};
	append_to_file("$tmp/cluster.error", $@) unless $all;
	POSIX::_exit($all ? 0 : 1);
}

my $leader = leader($topic, 0);
$broker->kill($leader);
is_read('kill -9 of a leader');
$broker->start($leader);
my $controller = controller();
$broker->kill($controller);
is_read('kill -9 of the controller');
$broker->start($controller);
foreach my $bounced (1 .. 3)
{
	$broker->stop($bounced);
	$broker->start($bounced);
}
is_read('a rolling bounce');
append_to_file($stop, '');
waitpid $producer, 0;
is($?, 0, 'all messages were produced');
is($node->faults('n', slurp_file($count) + 3), '', 'each is in the table once');
is(sql(q(SELECT state FROM kafka.stat_subscription)), 'idle', 'and the subscription is well');

# an unclean election: what the leader alone had is lost, and other messages
# take the offsets
my $lossy = 'lossy';
$broker->command('org.apache.kafka.tools.TopicCommand',
	'--create', '--topic' => $lossy, '--replica-assignment' => '1:2',
	'--config' => 'min.insync.replicas=1',
	'--config' => 'unclean.leader.election.enable=true');
$broker->produce($lossy, map { "$_,kept" } 1 .. 10);
$node->numbers('lossy', $lossy);
$node->subscribe('lossy');
is($node->count_once('lossy'), 10, 'before');
$broker->stop(2);
$broker->produce($lossy, map { "$_,lost" } 11 .. 20);
is($node->count_once('lossy'), 20, 'what one broker alone has is read');
$broker->kill(1);
$broker->start(2);
ok(KafkaCluster::wait_for(sub { leader($lossy, 0) == 2 }),
	'the broker that does not have it leads');
$broker->produce($lossy, map { "$_,other" } 11 .. 40);
$node->wait_state('lossy', 'stopped') or die 'not stopped';
like(
	$node->error_of('lossy'),
	qr/topic "lossy" is not the one that was read before|partition 0 of topic "lossy" ends before its position/,
	'the subscription stops');
is(sql(q(SELECT count(*) FROM lossy WHERE word = 'other')),
	0, 'before it reads anything of the other log');
sql(q(SELECT kafka.seek_subscription('lossy', 'earliest'); TRUNCATE lossy; SELECT kafka.enable_subscription('lossy')));
$node->wait_applied('lossy');
is(sql(q(SELECT count(*), count(*) FILTER (WHERE word = 'lost') FROM lossy)),
	'40|0', 'and goes on where it is told to');
$broker->start(1);
is($node->faults('n'), '', 'the other subscription is as it was');

# the same while the subscription is far behind, and the other partitions, each of which tells that the topic is the same,
# are well: of one that has not been looked at for a while that is not enough
my $behind = 'behind';
my ($wells, $backlog) = (15, 8000);
$broker->command('org.apache.kafka.tools.TopicCommand',
	'--create', '--topic' => $behind, '--replica-assignment' => join(',', ('3:2') x $wells, '1:2'),
	'--config' => 'min.insync.replicas=1',
	'--config' => 'unclean.leader.election.enable=true');
$broker->produce($behind, map { { value => "$_,kept", partition => $wells } } 1 .. 10);
$broker->stop(2);
my $text = 'x' x 1000;
$broker->produce($behind, map { { value => "$_,lost $text", partition => $wells } } 11 .. $backlog);
$broker->produce($behind, map { { value => "$_,well $text", partition => $_ % $wells } } 1 .. 4 * $backlog);
$node->numbers('behind', $behind);
sql(q(ALTER SYSTEM SET kafka_fdw.fetch_memory = '1MB'));
sql(qq(SELECT pg_reload_conf();
	CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
		IF NEW._partition = $wells AND NEW.n > 1500 THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN NEW; END \$\$;
	CREATE TRIGGER wait BEFORE INSERT ON behind FOR EACH ROW EXECUTE FUNCTION wait()));
my $lock = KafkaCluster::session($node);
$lock->run('SELECT pg_advisory_lock(1)');
$node->subscribe('behind', q(batch_rows => 1000));
my $waits = q(SELECT count(*) > 0 FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' AND NOT granted);
$node->wait_true($waits) or die 'it does not wait';
$broker->kill(1);
$broker->start(2);
ok(KafkaCluster::wait_for(sub { leader($behind, $wells) == 2 }), 'the broker that does not have what is to be read leads');
$broker->produce($behind, map { { value => "$_,other", partition => $wells } } 11 .. 2 * $backlog);
$node->wait_true("$waits AND clock_timestamp() - xact_start > interval '3 s'") or die 'it does not wait for long enough';
$lock->run('SELECT pg_advisory_unlock(1)');
$lock->quit;
$node->wait_true(q(SELECT state = 'stopped' OR EXISTS (SELECT FROM behind WHERE word = 'other') FROM kafka.stat_subscription WHERE subscription = 'behind'))
  or die 'not stopped';
like($node->error_of('behind'), qr/Partition $wells has another message/, 'the subscription stops because of this partition');
is(sql(q(SELECT count(*) FROM behind WHERE word = 'other')), 0, 'before it reads anything of the other log');
$broker->start(1);

$node->stop;
done_testing();
