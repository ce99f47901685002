# A bad message is skipped or put into kafka.dead_letter, where the subscription
# says so; the good ones around it are stored, in order, each once.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker, 'max_worker_processes = 20');

sub sql { return $node->safe_psql('postgres', @_); }

# Subscribes a new table to a topic with these messages.
sub subscribed
{
	my ($name, $arguments, $constraints, @messages) = @_;
	my $topic = $broker->create_topic($name);

	$broker->produce($topic, @messages);
	$node->numbers($name, $topic, constraints => $constraints);
	$node->subscribe($name, $arguments);
	return $topic;
}

sub stat_of
{
	my ($column, $name) = @_;

	return sql(qq(SELECT $column FROM kafka.stat_subscription
		WHERE subscription = '$name'));
}

# skip, with every tenth message bad, and others that the table does not take
my @messages = map { $_ % 10 == 3 ? "x$_,bad" : "$_,good" } 0 .. 3999;
my $topic =
  subscribed('skips', q(on_error => 'skip'), 'CHECK (n % 100 <> 7)', @messages);
ok($node->wait_applied('skips'), 'a subscription that skips reads on');
is( sql(q(SELECT count(*), count(DISTINCT n), min(n), max(n),
		count(*) FILTER (WHERE n % 10 = 3 OR n % 100 = 7) FROM skips)),
	'3560|3560|0|3999|0',
	'all good messages are stored, once, and no bad one');
is( sql(q(SELECT count(*) FROM (SELECT _offset < lag(_offset) OVER (ORDER BY ctid) AS back
		FROM skips) AS s WHERE back)),
	0,
	'in their order');
is(stat_of('bad_messages', 'skips'), 440, 'the bad ones are counted');
is(stat_of('messages', 'skips'), 4000, 'among all');
is( sql(q(SELECT sum(bad_messages), sum(next_offset) FROM kafka.subscription_position
		WHERE subscription = 'skips')),
	'440|4000',
	'also beside the position');
is(sql('SELECT count(*) FROM kafka.dead_letter'), 0, 'and not kept');
ok($node->wait_for_log(qr/LOG:  subscription "skips" has skipped \d+ bad messages/),
	'the log has how many');
like(
	slurp_file($node->logfile),
	qr/DETAIL:  The first, in topic "\Q$topic\E", partition 0, at offset 3: invalid input syntax for type integer: "x3"/,
	'and what is wrong with the first');

# every tenth message is one that the table does not take: many in a transaction
subscribed('often', q(on_error => 'skip'), 'CHECK (n % 10 <> 3), UNIQUE (n)',
	map { ($_ % 100 == 7 ? $_ - 1 : $_) . ',w' } 0 .. 3999);
ok($node->wait_applied('often'), 'a subscription with many bad messages reads on');
is(sql(q(SELECT count(*), count(*) FILTER (WHERE n % 10 = 3 OR n <> _offset) FROM often)),
	'3560|0', 'all good messages are stored, and no bad one');
is(sql(q(SELECT count(*) FROM (SELECT _offset < lag(_offset) OVER (ORDER BY ctid) AS back
		FROM often) AS s WHERE back)), 0, 'in their order');
is(stat_of('bad_messages', 'often'), 440, 'the bad ones are counted');
cmp_ok(stat_of('batches', 'often'), '<', 100, 'a transaction stores what is between many of them');

# dead letters
$topic = subscribed(
	'letters', q(on_error => 'dead_letter', batch_rows => 50), 'UNIQUE (n)',
	(map { "$_,good" } 0 .. 99),
	{ key => 'k', value => 'seven,bad', timestamp => 1540219230123,
		headers => [ [ 'a', '1' ], [ 'a', undef ], [ 'b', '' ] ] },
	'5,again',
	{ value => '"open' },
	"101,\0",
	{ key => '', value => 'x,y' },
	"100,good");
ok($node->wait_applied('letters'), 'a subscription with dead letters reads on');
is(sql('SELECT count(*), max(n), max(_offset) FROM letters'),
	'101|100|105', 'all good messages are stored');
is( sql(qq(
	SELECT topic = '$topic', partition, "offset", encode(key, 'escape'),
		encode(value, 'escape'), sqlstate, attempts
	FROM kafka.dead_letter WHERE subscription = 'letters' ORDER BY id)),
	join("\n",
		't|0|100|k|seven,bad|22P02|1',
		't|0|101||5,again|23505|1',
		't|0|102||"open|22P04|1',
		't|0|103||101,\\000|22021|1',
		't|0|104||x,y|22P02|1'),
	'the bad ones are kept');
is( sql(q(SELECT key IS NULL, value IS NULL FROM kafka.dead_letter
	WHERE subscription = 'letters' ORDER BY id)),
	join("\n", 'f|f', 't|f', 't|f', 't|f', 'f|f'),
	'NULL is not empty');
is( sql(q(SELECT extract(epoch FROM "timestamp"), timestamp_type, headers
	FROM kafka.dead_letter WHERE subscription = 'letters' ORDER BY id LIMIT 1)),
	q(1540219230.123000|CreateTime|{"(a,\"\\\\\\\\x31\")","(a,)","(b,\"\\\\\\\\x\")"}),
	'with timestamp and headers');
is( sql(q(SELECT message, context FROM kafka.dead_letter
	WHERE subscription = 'letters' ORDER BY id LIMIT 1)),
	qq(invalid input syntax for type integer: "seven"|topic "$topic", partition 0, offset 100, column "n"\nsubscription "letters"),
	'and what is wrong');
like(
	sql(q(SELECT message, detail FROM kafka.dead_letter
	WHERE subscription = 'letters' AND sqlstate = '23505')),
	qr/^duplicate key value .*\|Key \(n\)=\(5\) already exists\.$/,
	'and its detail');

# messages of several rows: all or nothing
$topic = $broker->create_topic('many');
$broker->produce($topic, map { qq({"rows": [{"n": $_}, {"n": ) .
		($_ % 5 == 0 ? '"x"' : $_) . qq(}, {"n": ) . ($_ % 7 == 0 ? -1 : $_) . '}]}' } 1 .. 70);
sql(qq(
	CREATE FOREIGN TABLE many_feed (n int, _offset bigint, _partition int) SERVER broker
		OPTIONS (topic '$topic', format 'json', rows 'rows');
	CREATE TABLE many (n int CHECK (n > 0), _offset bigint, _partition int);
	SELECT kafka.create_subscription('many', 'many_feed', 'many', on_error => 'dead_letter')));
ok($node->wait_applied('many'), 'a subscription with several rows a message reads on');
is( sql(q(SELECT count(*), count(DISTINCT n), count(*) FILTER (WHERE n % 5 = 0 OR n % 7 = 0)
	FROM many)),
	'144|48|0',
	'of a message all rows are stored or none');
is( sql(q(SELECT count(*), count(DISTINCT "offset") FROM kafka.dead_letter
	WHERE subscription = 'many')),
	'22|22',
	'and each bad one is kept once');

# dead letters to a topic
my $aside = $broker->create_topic('aside');
$topic = subscribed('to_topic', "on_error => 'dead_letter', dead_letter_topic => '$aside'", '',
	'1,a', { key => 'k', value => 'x,b', headers => [ [ 'h', 'v' ] ], timestamp => 1540219230123 },
	{ value => 'y' }, '2,c');
ok($node->wait_applied('to_topic'), 'a topic can be for dead letters');
is(sql('SELECT count(*) FROM to_topic'), 2, 'good messages are stored');
my @aside = $broker->consume($aside);
is(scalar(@aside), 2, 'bad ones are sent');
is(sql(q(SELECT count(*) FROM kafka.dead_letter WHERE subscription = 'to_topic')),
	0, 'and not in the table');
is_deeply([ @{ $aside[0] }{qw(key value timestamp)} ], [ 'k', 'x,b', 1540219230123 ], 'as they came');
is_deeply(
	$aside[0]{headers},
	[
		[ 'h', 'v' ],
		[ 'kafka_fdw.dead_letter.subscription', 'to_topic' ],
		[ 'kafka_fdw.dead_letter.topic', $topic ],
		[ 'kafka_fdw.dead_letter.partition', 0 ],
		[ 'kafka_fdw.dead_letter.offset', 1 ],
		[ 'kafka_fdw.dead_letter.sqlstate', '22P02' ],
		[ 'kafka_fdw.dead_letter.message', 'invalid input syntax for type integer: "x"' ],
		[
			'kafka_fdw.dead_letter.context',
			qq(topic "$topic", partition 0, offset 1, column "n"\nsubscription "to_topic")
		],
	],
	'with headers that say why');
is($aside[1]{key}, undef, 'without a key where there was none');
like(
	$node->error_from(qq(SELECT kafka.create_subscription('x', 'to_topic_feed', 'to_topic',
		on_error => 'dead_letter', dead_letter_topic => '$topic'))),
	qr/is a topic that the subscription reads/,
	'it cannot be the topic itself');
like(
	$node->error_from(q(SELECT kafka.create_subscription('x', 'letters_feed', 'letters',
		on_error => 'dead_letter', dead_letter_topic => 'none'))),
	qr/ERROR:  topic "none" for dead letters does not exist\nHINT:  Create it, .*kafka.dead_letter/s,
	'it must exist');
like($node->error_from(q(SELECT kafka.alter_subscription('letters', dead_letter_topic => 'none'))),
	qr/topic "none" for dead letters does not exist/, 'also for kafka.alter_subscription()');
my $none = $broker->create_topic('none');
subscribed('lost', qq(on_error => 'dead_letter', dead_letter_topic => '$none', enabled => false), '', '1,a', 'x,b', '2,c');
$broker->delete_topic($none);
sql(q(SELECT kafka.enable_subscription('lost')));
$node->wait_state('lost', 'stopped');
like($node->error_of('lost'), qr/topic "$none" does not exist/, 'one that has gone missing stops the subscription');
is( sql(q(SELECT count(*), (SELECT next_offset FROM kafka.subscription_position WHERE subscription = 'lost')
		FROM lost)),
	'1|1',
	'before the message');

# the limit
subscribed('limited', q(on_error => 'skip', error_limit => 3),
	'', (map { $_ % 10 == 0 ? "x$_," : "$_,good" } 1 .. 100));
$node->wait_state('limited', 'stopped');
like(
	$node->error_of('limited'),
	qr/^invalid input syntax for type integer: "x40"\n.*offset 39, column "n".*^3 bad messages before, as many as error_limit allows$/ms,
	'one bad message more than the limit stops the subscription');
is(sql('SELECT count(*), max(n) FROM limited'),
	'36|39', 'all before it are stored');
is( sql(q(SELECT next_offset, bad_messages FROM kafka.subscription_position
		WHERE subscription = 'limited')),
	'39|3',
	'it is not lost');
sql(q(SELECT kafka.enable_subscription('limited')));
$node->wait_state('limited', 'stopped');
like($node->error_of('limited'), qr/"x70"/, 'the count begins anew when it is enabled');

# what is not a message's fault
sql(q(CREATE SCHEMA log; CREATE TABLE log.entry (n int);
	CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO log.entry VALUES (NEW.n); RETURN NEW; END'));
$topic = subscribed('broken', q(on_error => 'dead_letter', enabled => false), '', '1,a', '2,b');
sql(q(CREATE TRIGGER log BEFORE INSERT ON broken FOR EACH ROW EXECUTE FUNCTION log();
	DROP TABLE log.entry;
	SELECT kafka.enable_subscription('broken')));
$node->wait_state('broken', 'stopped');
like($node->error_of('broken'), qr/relation "log.entry" does not exist.*offset 0$/ms,
	'a broken trigger stops the subscription');
is(sql(q(SELECT count(*) FROM kafka.dead_letter WHERE subscription = 'broken')),
	0, 'no message is put aside for it');

# what the foreign table says of errors
sql(q(ALTER FOREIGN TABLE limited_feed OPTIONS (ADD on_error 'null');
	SELECT kafka.enable_subscription('limited')));
ok($node->wait_applied('limited'), 'with on_error null of the source');
is(sql('SELECT count(*) FILTER (WHERE n IS NULL) FROM limited WHERE _offset >= 69'),
	4, 'what cannot be converted is NULL');
subscribed('taken', '', '', '1,a', 'x,b');
sql(q(ALTER FOREIGN TABLE taken_feed OPTIONS (ADD on_error 'skip')));
$node->wait_state('taken', 'stopped');
ok(1, 'with on_error skip of the source the subscription decides');

# dropping
like($node->error_from(q(SELECT kafka.drop_subscription('letters'))),
	qr/cannot drop subscription "letters" because kafka.dead_letter has messages of it.*It has 5 messages/s,
	'messages are not dropped with the subscription');
sql(q(DELETE FROM kafka.dead_letter WHERE subscription = 'letters';
	SELECT kafka.drop_subscription('letters')));
like($node->error_from(q(SELECT kafka.create_subscription('x', 'taken_feed', 'taken', error_limit => 1))),
	qr/error_limit needs on_error/, 'a limit is for what is passed by');
like($node->error_from(q(SELECT kafka.create_subscription('x', 'taken_feed', 'taken', dead_letter_topic => 't'))),
	qr/dead_letter_topic needs on_error/, 'so is a topic');

$node->stop;
done_testing();
