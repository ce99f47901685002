# A message that cannot be stored stops the subscription, which says where; all
# rows before it are kept, and nothing is lost once it is mended.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# Subscribes a new table to a topic with these messages, and returns the error.
sub stopped
{
	my ($name, $constraints, @messages) = @_;
	my $topic = $broker->create_topic($name);

	$broker->produce($topic, @messages);
	$node->numbers($name, $topic, constraints => $constraints);
	$node->subscribe($name);
	$node->wait_state($name, 'stopped') or die "$name is not stopped";
	return $node->error_of($name) =~ s/\Q$topic\E/TOPIC/gr;
}

my @good = map { "$_,good" } 1 .. 700;

# a message that is not what the source says
my $error = stopped('bad', '', @good, 'x,bad', map { "$_,good" } 701 .. 1400);
like($error, qr/^invalid input syntax for type integer: "x"$/m,
	'the error is kept');
like($error, qr/^SQLSTATE: 22P02$/m, 'with its code');
like($error, qr/topic "TOPIC", partition 0, offset 700, column "n"/,
	'and where it happened');
unlike($error, qr/COPY/, 'nothing is said of a COPY');
is(sql('SELECT count(*), max(_offset) FROM bad'),
	'700|699', 'the rows before it are kept');
is( sql(q(SELECT next_offset FROM kafka.subscription_position WHERE subscription = 'bad')),
	700,
	'the position is at the message');
ok($node->wait_true('SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = $$bad$$'),
	'the worker ends');
like(
	$node->error_from(q(SELECT kafka.wait_for_subscription('bad'))),
	qr/subscription "bad" has been stopped by an error.*DETAIL:.*offset 700/s,
	'who waits gets the error');
ok($node->wait_for_log(qr/ERROR:  invalid input syntax for type integer: "x"/), 'so does the log');
sql(q(ALTER FOREIGN TABLE bad_feed ALTER n TYPE text;
	CREATE FUNCTION number(text) RETURNS int LANGUAGE sql
		RETURN CASE WHEN $1 = 'x' THEN -1 ELSE $1::int END;
	ALTER TABLE bad RENAME n TO old;
	ALTER TABLE bad ADD n text;
	SELECT kafka.enable_subscription('bad')));
is($node->count_once('bad'), 1401, 'the rest follows once the table is mended');
is($node->error_of('bad'), '', 'and the error is gone');

# a message that the target does not take
$error = stopped('taken', 'CHECK (n <> 20)', map { "$_,x" } 1 .. 40);
like($error, qr/violates check constraint "taken_n_check"/, 'a constraint');
like($error, qr/topic "TOPIC", partition 0, offset 19/, 'has its message');
is(sql('SELECT count(*) FROM taken'), 19, 'the rows before it are kept');
sql(q(ALTER TABLE taken DROP CONSTRAINT taken_n_check;
	SELECT kafka.enable_subscription('taken')));
is($node->count_once('taken'), 40, 'the rest follows');

$error = stopped('doubled', 'UNIQUE (n)', map { ($_ % 30) . ',x' } 1 .. 40);
like($error, qr/duplicate key value violates unique constraint/,
	'a unique index, whose errors COPY delays');
like($error, qr/offset 30/, 'has its message');
is(sql('SELECT count(*) FROM doubled'), 30, 'the rows before it are kept');

sql('CREATE TABLE words (word text PRIMARY KEY); INSERT INTO words VALUES ($$x$$)');
$error = stopped('deferred',
	'FOREIGN KEY (word) REFERENCES words DEFERRABLE INITIALLY DEFERRED',
	(map { "$_,x" } 1 .. 10),
	'11,y');
like($error, qr/violates foreign key constraint.*offset 10\b/s,
	'an error at commit has its message too');
is(sql('SELECT count(*) FROM deferred'), 10, 'the rows before it are kept');

# the first and the last of a batch
like(stopped('first', '', 'x,bad', @good), qr/offset 0,/, 'a first message');
is(sql('SELECT count(*) FROM first'), 0, 'no row is before it');
like(stopped('last', '', @good, 'x,bad'), qr/offset 700,/, 'a last message');
is(sql('SELECT count(*) FROM last'), 700, 'all rows are before it');

# messages of several rows
my $topic = $broker->create_topic('many');
$broker->produce($topic, map { qq({"rows": [{"n": $_}, {"n": -$_}, {"n": 0}]}) } 1 .. 100);
sql(qq(
	CREATE FOREIGN TABLE many_feed (n int, _offset bigint, _partition int) SERVER broker
		OPTIONS (topic '$topic', format 'json', rows 'rows');
	CREATE TABLE many (n int, _offset bigint, _partition int);
	SELECT kafka.create_subscription('many', 'many_feed', 'many', batch_rows => 10)));
$node->wait_applied('many');
is(sql('SELECT count(*), sum(n), count(DISTINCT _offset) FROM many'),
	'300|0|100', 'messages of several rows are applied whole');
is( sql(q(SELECT messages, rows, batches BETWEEN 20 AND 40 FROM kafka.stat_subscription
		WHERE subscription = 'many')),
	'100|300|t',
	'and batches end between them');

# a definition that no longer works
sql('ALTER EVENT TRIGGER kafka_subscription_drop DISABLE; DROP TABLE many');
$broker->produce($topic, '{"rows": [{"n": 1}]}');
$node->wait_state('many', 'stopped');
like($node->error_of('many'),
	qr/^target table of subscription "many" does not exist$/m,
	'a target that is gone stops the subscription');

$node->stop;
done_testing();
