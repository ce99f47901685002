# Without a free process a subscription waits for one, which the log is told
# once; the others go on, and can be disabled to make room.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('processes');
my $node = KafkaIngest->start_with($broker,
	'max_worker_processes = 2',    # the launcher, and one
	'max_logical_replication_workers = 0',
	'max_parallel_workers = 0');

$broker->produce($topic, map { "$_,x" } 1 .. 10);
$node->numbers($_, $topic) foreach qw(a b);
$node->subscribe('a');
is($node->count_once('a'), 10, 'the first one has a process');
$node->subscribe('b');
ok( $node->wait_for_log(
		qr/WARNING:  out of background worker slots for Kafka subscriptions/),
	'the second one has none');
$broker->produce($topic, '11,x');
is($node->count_once('a'), 11, 'the first one goes on');
like(
	$node->error_from(
		q(DO $$ BEGIN IF NOT kafka.wait_for_subscription('b', '100 ms') THEN
			RAISE 'not yet'; END IF; END $$)),
	qr/not yet/,
	'the second one waits');
$node->safe_psql('postgres', q(SELECT kafka.disable_subscription('a')));
is($node->count_once('b'), 11, 'until there is a process for it');
my @told = slurp_file($node->logfile) =~ /out of background worker slots/g;
is(scalar @told, 1, 'the log is told once, not at each try');

# the number of workers is limited too
$node->append_conf('postgresql.conf',
	"max_worker_processes = 8\nkafka_fdw.max_subscription_workers = 1");
$node->restart;
$node->safe_psql('postgres', q(SELECT kafka.enable_subscription('a')));
ok( $node->wait_for_log(qr/WARNING:  1 Kafka subscription lacks workers/),
	'a subscription above the limit is told of');

$node->stop;
done_testing();
