# A subscription's command sees exactly the batch as its source, in the
# transaction of the positions.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker, 'max_worker_processes = 20');

sub sql { return $node->safe_psql('postgres', @_); }

# A topic with a foreign table NAME_feed of numbers and words.
sub feed
{
	my ($name, @messages) = @_;
	my $topic = $broker->create_topic($name, partitions => 2);

	$broker->produce($topic, @messages) if @messages;
	$node->numbers($name, $topic);
	return $topic;
}

sub run_command
{
	my ($name, $command, $arguments) = @_;

	$arguments = $arguments ? ", $arguments" : '';
	sql(qq(SELECT kafka.create_subscription('$name', '${name}_feed',
		command => \$command\$$command\$command\$$arguments)));
	return $node->wait_applied($name);
}

sub stopped
{
	my ($name) = @_;

	$node->wait_state($name, 'stopped') or die "$name is not stopped";
	return $node->error_of($name);
}

# ON CONFLICT, with an aggregate of each batch
my @numbers = map { { value => "$_,w" . ($_ % 7), partition => $_ % 2 } } 1 .. 1000;
feed('counts', @numbers);
sql('CREATE TABLE count_of (word text PRIMARY KEY, messages int, total int)');
ok( run_command(
		'counts',
		q(INSERT INTO count_of
			SELECT word, count(*), sum(n) FROM counts_feed GROUP BY word
			ON CONFLICT (word) DO UPDATE SET messages = count_of.messages + EXCLUDED.messages,
				total = count_of.total + EXCLUDED.total),
		'batch_rows => 100'),
	'a command is run');
is( sql('SELECT count(*), sum(messages), sum(total) FROM count_of'),
	'7|1000|500500',
	'for each message once');
is(sql(q(SELECT rows >= 70, messages, batches >= 10 FROM kafka.stat_subscription WHERE subscription = 'counts')),
	't|1000|t', 'and is counted');

# two targets, and the batch several times in one statement
feed('twice', @numbers);
sql('CREATE TABLE evens (n int); CREATE TABLE odds (n int, others bigint, same bigint)');
ok( run_command(
		'twice',
		q(WITH batch AS (SELECT * FROM twice_feed),
			even AS (INSERT INTO evens SELECT n FROM batch WHERE n % 2 = 0)
		INSERT INTO odds SELECT a.n, (SELECT count(*) FROM twice_feed),
				(SELECT count(*) FROM twice_feed b WHERE b._offset = a._offset)
			FROM twice_feed a JOIN twice_feed c ON a.n = c.n WHERE a.n % 2 = 1 AND a._partition = 1),
		'batch_rows => 100'),
	'a command may have several targets');
is(sql('SELECT count(*), sum(n) FROM evens'), '500|250500', 'one has its rows');
is(sql('SELECT count(*), sum(n), max(others) <= 100, min(same) FROM odds'),
	'500|250000|t|1', 'and so has the other, from several scans of the same batch');

# MERGE, of several statements, into a table that is altered meanwhile
my $topic = feed('merged', '1,a', '2,b', '3,delete');
sql('CREATE TABLE state (n int PRIMARY KEY, word text); CREATE TABLE log (n int);
	INSERT INTO state VALUES (3, $$old$$)');
ok( run_command(
		'merged',
		q(MERGE INTO state USING (SELECT DISTINCT ON (n) * FROM merged_feed ORDER BY n, _offset DESC) AS m
				ON state.n = m.n
			WHEN MATCHED AND m.word = 'delete' THEN DELETE
			WHEN MATCHED THEN UPDATE SET word = m.word
			WHEN NOT MATCHED THEN INSERT VALUES (m.n, m.word);
		INSERT INTO log SELECT n FROM merged_feed;)),
	'a command may be MERGE, and two statements');
is(sql('SELECT string_agg(n || word, $$ $$ ORDER BY n) FROM state'), '1a 2b', 'of which both');
is(sql('SELECT count(*) FROM log'), 3, 'are run');
sql('ALTER TABLE state ADD extra int; ALTER TABLE log ALTER n TYPE text, ADD at timestamptz DEFAULT now()');
$broker->produce($topic, '1,delete', '4,d');
ok($node->wait_applied('merged'), 'ALTER TABLE is followed');
is(sql('SELECT string_agg(n || word, $$ $$ ORDER BY n) FROM state'), '2b 4d', 'by a new plan');

# from topic to topic
my $out = $broker->create_topic('out');
feed('piped', map { "$_,p" } 1 .. 300);
ok( run_command('piped',
		qq(SELECT kafka.produce('broker', '$out', n || word, key => n) FROM piped_feed WHERE n % 3 = 0),
		'batch_rows => 50'),
	'a command may send messages');
is(scalar(my @sent = $broker->consume($out)), 100, 'each once');

# a bad message: to be decoded, and in the command
feed('bad', map { { value => $_ % 10 == 0 ? "x$_,bad" : "$_,good", partition => $_ % 2 } } 1 .. 500);
sql('CREATE TABLE bad_a (n int CHECK (n <> 17)); CREATE TABLE bad_b (word text, all_of_them bigint, n int)');
ok( run_command(
		'bad',
		q(INSERT INTO bad_a SELECT n FROM bad_feed;
		INSERT INTO bad_b SELECT word, (SELECT count(n) FROM bad_feed), 1 / (n - 23) FROM bad_feed),
		q(on_error => 'dead_letter', batch_rows => 100)),
	'bad messages are passed by');
is(sql('SELECT count(*), count(DISTINCT n) FROM bad_a'), '448|448', 'the others are not');
is(sql('SELECT count(*) FROM bad_b'), 448, 'in any statement');
is( sql(q(SELECT string_agg(convert_from(value, 'UTF8'), ' ' ORDER BY "offset"), count(*),
			count(DISTINCT (partition, "offset"))
		FROM kafka.dead_letter WHERE subscription = 'bad' AND sqlstate <> '22P02')),
	'17,good 23,good|2|2',
	'those that the command does not take are isolated');
is( sql(q(SELECT count(*), count(DISTINCT "offset") FROM kafka.dead_letter
		WHERE subscription = 'bad' AND sqlstate = '22P02')),
	'50|50',
	'as are those that are no rows');

# needs no column that cannot be decoded
feed('half', 'x,one', '2,two');
sql('CREATE TABLE half_words (word text)');
ok( run_command('half', 'INSERT INTO half_words SELECT word FROM half_feed', q(on_error => 'skip')),
	'what the command does not use is not decoded');
is(sql('SELECT count(*) FROM half_words'), 2, 'and makes no message bad');

# stop
feed('stops', (map { "$_,s" } 1 .. 99), '0,zero', (map { "$_,s" } 101 .. 200));
sql('CREATE TABLE stop_at (n int)');
sql(q(SELECT kafka.create_subscription('stops', 'stops_feed',
	command => 'INSERT INTO stop_at SELECT 100 / n FROM stops_feed', partitions => '{0,1}')));
my ($partition, $offset) = stopped('stops') =~
  /division by zero.*topic "stops\w+", partition (\d), offset (\d+)$/ms;
ok(defined $offset, 'an error of the command has its message');
sql(qq(SELECT kafka.skip_message('stops', $partition, $offset)));
sql(q(SELECT kafka.enable_subscription('stops')));
ok($node->wait_applied('stops'), 'which may be skipped');
is(sql('SELECT count(*) FROM stop_at'), 199, 'all others are there');

# outside of the worker the source is the topic
like(sql('EXPLAIN (COSTS OFF) INSERT INTO stop_at SELECT 100 / n FROM stops_feed'),
	qr/Foreign Scan on stops_feed/, 'EXPLAIN shows the command');
is(sql('SELECT count(*) FROM stops_feed'), 200, 'the source shows the topic to others');

# what a command may be
sub refused
{
	my ($command) = @_;

	return $node->error_from(qq(SELECT kafka.create_subscription('x', 'half_feed',
		command => \$command\$$command\$command\$)));
}

sql('CREATE PROCEDURE x() LANGUAGE sql BEGIN ATOMIC SELECT 1; END');
foreach my $command ('COMMIT', 'ROLLBACK', 'SAVEPOINT a', 'CREATE TABLE x (a int)',
	'SELECT * INTO x FROM half_feed', 'VACUUM', 'COPY half_feed TO STDOUT', 'LISTEN x',
	'DO $$BEGIN NULL; END$$', 'CALL x()', 'TRUNCATE half_words', 'SET ROLE postgres',
	'EXPLAIN SELECT * FROM half_feed')
{
	my ($word) = $command =~ /^(\w+)/;
	like(refused("INSERT INTO half_words SELECT word FROM half_feed; $command"),
		qr/^\S+ ERROR:  (CREATE TABLE|$word|SELECT INTO)[\w ]* cannot be used in the command of subscription "x"/,
		"$command is refused");
}
like(refused('INSERT INTO half_words VALUES (1)'),
	qr/command of subscription "x" does not read its source "half_feed"/,
	'a command has to read the source');
like(refused(' ; '), qr/command must not be empty/, 'and to be one');
like(refused('INSERT INTO half_words SELECT none FROM half_feed'),
	qr/column "none" does not exist/, 'it is analyzed');
like(refused('INSERT INTO half_words SELECT $1 FROM half_feed'),
	qr/there is no parameter \$1/, 'it has no parameters');
like($node->error_from(q(SELECT kafka.create_subscription('x', 'half_feed'))),
	qr/a subscription needs a target or a command/, 'there is one, or a target');
sql('CREATE VIEW half_view AS SELECT word FROM half_feed');
unlike(refused('INSERT INTO half_words SELECT word FROM half_view'),
	qr/ERROR/, 'the source may be in a view');
ok($node->wait_applied('x'), 'and is read there');
is(sql('SELECT count(*) FROM half_words'), 4, 'as in the command');

# a table that the command uses is locked, by somebody who then needs the subscription
my $locked = feed('locked', '1,a');
sql('CREATE TABLE locked_log (n int)');
run_command('locked', 'INSERT INTO locked_log SELECT n FROM locked_feed');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; TRUNCATE locked_log');
$broker->produce($locked, '2,b');
ok($node->wait_state('locked', 'waiting for a lock'), 'the worker waits for it');
$locker->query_safe(q(SELECT kafka.seek_subscription('locked', 'earliest'); COMMIT));
$locker->quit;
$node->wait_applied('locked');
is(sql('SELECT string_agg(n::text, $$ $$ ORDER BY n) FROM locked_log'), '1 2', 'and lets go of the subscription meanwhile');

$node->stop;
done_testing();
