# Batches that grow while they are being written: they are bounded by batch_rows,
# and whatever fails in what was added, each message is stored once or is bad;
# and nothing is added of a topic that is not the one that was read.

use strict;
use warnings FATAL => 'all';

use Test::More;

use KafkaBroker;
use KafkaIngest;

my $messages = 200_000;
my $broker = KafkaBroker->new;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# Makes a topic of so many messages, which an expression of SQL makes of i.
sub make_topic
{
	my ($name, $count, $word, $constraints) = @_;

	$broker->create_topic($name, partitions => 3);
	$node->numbers($name, $name, constraints => $constraints);
	sql(qq(CREATE FOREIGN TABLE ${name}_sink (n text, word text) SERVER broker
			OPTIONS (topic '$name', format 'csv', delivery 'immediate');
		INSERT INTO ${name}_sink SELECT i, $word FROM generate_series(1, $count) AS i));
	return;
}

sub drop { sql("SELECT kafka.drop_subscription('$_')") foreach @_; return; }

# Rows of the largest transaction, and how many of them.
sub transactions
{
	my ($name) = @_;

	return split /\|/,
	  sql("SELECT max(n), count(*) FROM (SELECT count(*) AS n FROM $name GROUP BY xmin) AS t");
}

# a backlog
make_topic('plain', $messages, q('x'));
$node->subscribe('plain');
is($node->faults('plain', $messages), '', 'a backlog is stored');
my ($largest, $number) = transactions('plain');
cmp_ok($largest, '>', 5000, 'a transaction has more than a batch begins with');
cmp_ok($largest, '<=', 100_000, 'and no more than batch_rows');
cmp_ok($number, '<', $messages / 5000, 'so there are fewer');
is(sql('SELECT batches, messages, rows FROM kafka.stat_subscription'), "$number|$messages|$messages", 'as the view says');

# the same with triggers, through a view, and with other bounds
make_topic('few', 50_000, q('x'));
$node->subscribe('few', 'batch_rows => 7000');
is($node->faults('few', 50_000), '', 'with a lower bound');
($largest) = transactions('few');
cmp_ok($largest, '<=', 7000, 'which no transaction exceeds');
make_topic('seen', 50_000, q('x'));
sql(q(CREATE VIEW seen_view AS SELECT * FROM seen;
	SELECT kafka.create_subscription('seen', source => 'seen_feed', target => 'seen_view')));
is($node->faults('seen', 50_000), '', 'through a view');
($largest) = transactions('seen');
cmp_ok($largest, '>', 5000, 'with more than a batch begins with');

drop('plain', 'few', 'seen');

# bad messages, behind where a batch begins
my $bad = q(CASE WHEN i % 60000 = 59999 THEN 'bad' ELSE 'x' END);
make_topic('checked', $messages, $bad, q(CHECK (word <> 'bad')));
$node->subscribe('checked', q(on_error => 'dead_letter'));
$node->wait_applied('checked');
is(sql('SELECT count(*), count(DISTINCT (_partition, _offset)) FROM checked'),
	($messages - 3) . '|' . ($messages - 3), 'rows beside those that violate a constraint');
is(sql(q(SELECT string_agg(split_part(convert_from(value, 'UTF8'), ',', 1), ',' ORDER BY value) FROM kafka.dead_letter WHERE subscription = 'checked')),
	'119999,179999,59999', 'which are dead letters, and no others');
make_topic('undecodable', $messages, q(CASE WHEN i % 60000 = 59999 THEN 'x,y,z' ELSE 'x' END));
sql(q(ALTER FOREIGN TABLE undecodable_sink OPTIONS (ADD delimiter ';');
	INSERT INTO undecodable_sink SELECT 'no number,x', NULL));
$node->subscribe('undecodable', q(on_error => 'skip'));
$node->wait_applied('undecodable');
is(sql('SELECT count(*), count(DISTINCT (_partition, _offset)) FROM undecodable'),
	"$messages|$messages", 'rows beside one that cannot be read');
is(sql(q(SELECT bad_messages FROM kafka.stat_subscription WHERE subscription = 'undecodable')), 1, 'which is counted once');

# a bad message that stops it
make_topic('stopped', $messages, q('x'), 'CHECK (n <> 123456)');
$node->subscribe('stopped');
$node->wait_state('stopped', 'stopped');
my ($partition, $offset) = split /\|/, sql('SELECT _partition, _offset FROM stopped_feed WHERE n = 123456');
like($node->error_of('stopped'), qr/violates check constraint.*partition $partition, offset $offset/s, 'a message that stops it is named');
is(sql("SELECT next_offset FROM kafka.subscription_position WHERE subscription = 'stopped' AND partition = $partition"),
	$offset, 'the position is before it');
is( sql(q(SELECT count(*) FROM stopped_feed f JOIN kafka.subscription_position p
			ON p.subscription = 'stopped' AND p.partition = f._partition AND f._offset < p.next_offset
		FULL JOIN stopped t ON t._partition = f._partition AND t._offset = f._offset
		WHERE t.n IS DISTINCT FROM f.n AND p.next_offset IS NOT NULL)),
	0, 'and all before the positions is stored');
sql(q(ALTER TABLE stopped DROP CONSTRAINT stopped_n_check; SELECT kafka.enable_subscription('stopped')));
is($node->faults('stopped', $messages), '', 'once mended, it goes on');

sql('DELETE FROM kafka.dead_letter');
drop('checked', 'undecodable', 'stopped');

# a topic that is recreated while another one of the subscription is read
$broker->create_topic($_) foreach 'two_busy', 'two_idle';
$broker->produce('two_idle', map { "$_,old" } 1 .. 20);
sql(q(CREATE FOREIGN TABLE two_feed (n int, word text, _topic text, _offset bigint) SERVER broker
		OPTIONS (topic 'two_busy,two_idle', format 'csv');
	CREATE TABLE two (n int, word text, _topic text, _offset bigint);
	CREATE FOREIGN TABLE two_sink (n int, word text) SERVER broker
		OPTIONS (topic 'two_busy', format 'csv', delivery 'immediate');
	CREATE PROCEDURE stream() LANGUAGE plpgsql AS $$ BEGIN LOOP
		INSERT INTO two_sink VALUES (1, 'busy'); COMMIT; PERFORM pg_sleep(0.002);
		EXIT WHEN EXISTS (SELECT FROM kafka.subscription WHERE subscription = 'two' AND NOT enabled); END LOOP; END $$));
$node->subscribe('two', q(batch_interval => '1 ms'));
$node->wait_applied('two') or die 'two does not catch up';
my $stream = KafkaCluster::session($node);
$stream->send('CALL stream()');
$node->wait_true(q(SELECT count(*) > 100 FROM two WHERE word = 'busy')) or die 'nothing streams';
$broker->delete_topic('two_idle');
$broker->create_topic('two_idle');
$broker->produce('two_idle', map { "$_,new" } 1 .. 50);
$node->wait_state('two', 'stopped') or die 'it is not stopped';
like($node->error_of('two'), qr/topic "two_idle" (is not the one that was read before|does not exist)|partition 0 of topic "two_idle" ends before its position/,
	'a topic that is recreated beside a busy one stops the subscription');
is(sql(q(SELECT count(*) FROM two WHERE word = 'new')), 0, 'nothing of it is stored');
$stream->finish;
$stream->quit;

# a topic of many partitions, of which one is read again now and then, while most of it is to be read yet
my $many = 32_000;
$broker->create_topic('many', partitions => 16);
sql(q(CREATE FOREIGN TABLE many_feed (n int, word text, _partition int, _offset bigint) SERVER broker OPTIONS (topic 'many', format 'csv');
	CREATE TABLE many (n int, word text, _partition int, _offset bigint);
	CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
	CREATE TRIGGER wait BEFORE INSERT ON many FOR EACH ROW EXECUTE FUNCTION wait();
	CREATE FOREIGN TABLE many_sink (n int, word text) SERVER broker OPTIONS (topic 'many', format 'csv', delivery 'immediate')));
sql("INSERT INTO many_sink SELECT i, 'old' FROM generate_series(1, $many) AS i");
my $lock = KafkaCluster::session($node);
$lock->run('SELECT pg_advisory_lock(1)');
$node->subscribe('many', 'batch_rows => 1000');
$node->wait_true(q(SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)) or die 'it does not wait';
$broker->delete_topic('many');
$broker->create_topic('many', partitions => 16);
sql("INSERT INTO many_sink SELECT i, 'new' FROM generate_series(1, 2 * $many) AS i");
$lock->run('SELECT pg_advisory_unlock(1)');
$lock->quit;
$node->wait_state('many', 'stopped') or die 'it is not stopped';
like($node->error_of('many'), qr/topic "many" (is not the one that was read before|does not exist)|partition \d+ of topic "many" ends before its position/, 'a topic of many partitions that is recreated stops the subscription');
is(sql(q(SELECT count(*) FROM many WHERE word = 'new')), 0, 'nothing of it is stored');

done_testing();
