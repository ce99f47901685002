# Everything of a subscription can be changed while it runs; and the message that
# has stopped it, only that one, can be skipped.

use strict;
use warnings;

use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('alter', partitions => 2);
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub refused
{
	my ($call, $role) = @_;

	return $node->error_from(($role ? "SET ROLE $role; " : '') . "SELECT kafka.$call");
}

my $next = 0;

sub produce
{
	$broker->produce($topic, map { $next++; "$next,word" } 1 .. 10);
	return;
}

$node->numbers($_, $topic) foreach qw(n other);
$node->subscribe('n');
produce();
is($node->count_once('n'), 10, 'a subscription');

# settings
sql(q(SELECT kafka.alter_subscription('n', batch_rows => 3, batch_interval => '10 ms')));
is( sql('SELECT batch_rows, batch_interval, workers, source FROM kafka.subscription'),
	'3|00:00:00.01|1|n_feed',
	'what is not named stays');
produce();
is($node->count_once('n'), 20, 'the worker follows');
sql(q(SELECT kafka.alter_subscription('n', reset => '{batch_rows,batch_interval}')));
is(sql('SELECT batch_rows, batch_interval FROM kafka.subscription'),
	'100000|00:00:01', 'reset gives the defaults back');
like(refused(q(alter_subscription('n', reset => '{source}'))),
	qr/has no setting "source" with a default/, 'of what has one');
like(refused(q(alter_subscription('n', batch_rows => 0))),
	qr/batch_rows must be between/, 'values are checked');
like(refused(q(alter_subscription('m', batch_rows => 1))),
	qr/subscription "m" does not exist/, 'the subscription must exist');

# target
sql(q(SELECT kafka.alter_subscription('n', target => 'other')));
produce();
$node->wait_applied('n');
is(sql('SELECT (SELECT count(*) FROM n), (SELECT count(*) FROM other)'),
	'20|10', 'the target can be changed');
sql(q(BEGIN; SELECT kafka.alter_subscription('n', target => 'n'); ROLLBACK));
produce();
$node->wait_applied('n');
is(sql('SELECT count(*) FROM other'), 20, 'but for a rollback');

# name
sql(q(SELECT kafka.alter_subscription('n', name => 'renamed')));
produce();
ok($node->wait_applied('renamed'), 'it can be renamed');
is(sql('SELECT count(*) FROM other'), 30, 'and goes on');
is(sql('SELECT DISTINCT subscription FROM kafka.subscription_position'),
	'renamed', 'with its positions');
ok( $node->poll_query_until(
		'postgres',
		q(SELECT application_name = 'renamed' FROM pg_stat_activity WHERE backend_type = 'kafka_fdw worker')),
	'the worker has the new name');
sql(q(SELECT kafka.create_subscription('n', 'n_feed', 'n', enabled => false)));
like(refused(q(alter_subscription('renamed', name => 'n'))),
	qr/subscription "n" already exists/, 'the name must be free');
sql(q(SELECT kafka.drop_subscription('n')));

# owner
sql(q(CREATE ROLE app LOGIN; CREATE ROLE nobody LOGIN;
	  CREATE ROLE lead LOGIN IN ROLE app));
like(refused(q(alter_subscription('renamed', owner => 'app'))),
	qr/permission denied for foreign table other_feed|permission denied for foreign table n_feed/,
	'a new owner needs the rights');
sql(q(GRANT SELECT ON n_feed, other_feed TO app; GRANT INSERT ON other TO app;
	  GRANT USAGE ON FOREIGN SERVER broker TO app));
sql(q(SELECT kafka.alter_subscription('renamed', owner => 'app')));
produce();
ok($node->wait_applied('renamed'), 'with them it goes on');
is(sql(q(SELECT usename FROM pg_stat_activity WHERE backend_type = 'kafka_fdw worker')),
	'app', 'as the new owner');
is(sql('SELECT count(*) FROM other'), 40, 'each message once');
like(refused(q(alter_subscription('renamed', batch_rows => 5)), 'nobody'),
	qr/must be owner/, 'others cannot change it');
like(refused(q(seek_subscription('renamed', 'latest')), 'nobody'),
	qr/must be owner/, 'nor move it');
like(refused(q(skip_message('renamed', 0, 0)), 'nobody'),
	qr/must be owner/, 'nor skip a message');
like(refused(q(alter_subscription('renamed', owner => 'nobody')), 'app'),
	qr/must be able to SET ROLE "nobody"/, 'nor give it away');
sql(q(SET ROLE lead; SELECT kafka.alter_subscription('renamed', batch_rows => 5)));
ok(1, 'a member of the owner can change it');

# it waits for the batch under way
my $session = KafkaCluster::session($node);
$session->run('BEGIN; LOCK TABLE other IN SHARE MODE');
produce();
ok($node->wait_state('renamed', 'waiting for a lock'), 'a batch waits for a lock');
my ($out, $err) = $session->run(q(SELECT kafka.alter_subscription('renamed', workers => 2)));
unlike($err, qr/ERROR/, 'who has it can change the subscription');
$session->run('COMMIT');
$session->quit;
ok($node->wait_applied('renamed'), 'both go on');
is(sql('SELECT count(*) FROM other'), 50, 'each message once');

# skip
sql(q(SELECT kafka.alter_subscription('renamed', workers => 1)));
like(refused(q(skip_message('renamed', 0, 1))),
	qr/has not been stopped by a message/, 'a subscription that runs skips nothing');
$broker->produce($topic, map { { value => $_, partition => 0 } } 'bad,word', 'worse,word', '99,good');
ok($node->wait_state('renamed', 'stopped'), 'a bad message stops it');
my $offset = sql(q(SELECT "offset" FROM kafka.subscription_error));
like(refused("skip_message('renamed', 0, $offset + 1)"),
	qr/stopped by another message.*offset $offset of partition 0/s, 'the next one is refused');
like(refused("skip_message('renamed', 1, $offset)"), qr/another message/, 'so is another partition');
like(refused("skip_message('renamed', 0, $offset, 'x')"), qr/another message/, 'and topic');
sql("BEGIN; SELECT kafka.skip_message('renamed', 0, $offset); ROLLBACK");
sql("SELECT kafka.skip_message('renamed', 0, $offset)");
like(refused("skip_message('renamed', 0, $offset)"), qr/no longer at offset/, 'one skips once');
sql(q(SELECT kafka.enable_subscription('renamed')));
ok($node->wait_state('renamed', 'stopped'), 'the next one is not skipped with it');
$offset++;
sql("SELECT kafka.skip_message('renamed', 0, $offset, '$topic');
	SELECT kafka.enable_subscription('renamed')");
ok($node->wait_applied('renamed'), 'it goes on');
is(sql('SELECT count(*), count(*) FILTER (WHERE n = 99) FROM other'),
	'51|1', 'with all but the two');

$node->stop;
done_testing();
