# kafka.retry_dead_letters() applies messages that were put aside, once what was
# wrong is mended, each once, and keeps those that fail again.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub retry
{
	my ($arguments, $role) = @_;

	$role = $role ? "SET ROLE $role; " : '';
	return sql("${role}SELECT * FROM kafka.retry_dead_letters($arguments)");
}

sql('CREATE ROLE app LOGIN; CREATE ROLE member LOGIN IN ROLE app; CREATE ROLE other LOGIN;
	GRANT USAGE ON FOREIGN SERVER broker TO app; GRANT CREATE ON SCHEMA public TO app');

# a column that is too narrow, and a constraint
my $topic = $broker->create_topic('rows');
$broker->produce(
	$topic,
	(map { $_ % 2 == 0 ? "$_,good" : "4000000000$_,large" } 1 .. 20),
	{ key => 'k', value => '-1,negative', timestamp => 1540219230123,
		headers => [ [ 'h', "\xFF" ], [ 'null', undef ] ] },
	'never,number',
	undef);
sql(qq(SET ROLE app;
	CREATE FOREIGN TABLE rows_feed (n int, word text, _partition int, _offset bigint,
			_timestamp timestamptz, _key text, _headers kafka.header[])
		SERVER broker OPTIONS (topic '$topic', format 'csv');
	CREATE TABLE rows (n int, word text, _partition int, _offset bigint NOT NULL,
		_timestamp timestamptz, _key text, _headers kafka.header[],
		CONSTRAINT positive CHECK (n > 0), CONSTRAINT number CHECK (n IS NOT NULL));
	SELECT kafka.create_subscription('rows', 'rows_feed', 'rows', on_error => 'dead_letter')));
$node->wait_applied('rows');
is(sql('SELECT count(*) FROM rows'), 10, 'good messages are stored');
is(sql('SELECT count(*) FROM kafka.dead_letter'), 13, 'others are put aside');

# who sees them
is(sql('SET ROLE app; SELECT count(*) FROM kafka.dead_letter'), 13, 'the owner sees them');
is(sql('SET ROLE member; SELECT count(*) FROM kafka.dead_letter'), 13, 'so do its members');
is(sql('SET ROLE other; SELECT count(*) FROM kafka.dead_letter'), 0, 'others do not');
is(sql('SET ROLE other; WITH gone AS (DELETE FROM kafka.dead_letter RETURNING 1) SELECT count(*) FROM gone'),
	0, 'nor can they delete any');
foreach my $change (
	'UPDATE kafka.dead_letter SET value = NULL',
	q(INSERT INTO kafka.dead_letter (subscription, topic, partition, "offset", headers, sqlstate)
		VALUES ('rows', 'x', 0, 0, '{}', '22000')))
{
	like($node->error_from("SET ROLE app; $change"), qr/permission denied/,
		'and nobody changes them');
}
like($node->error_from(q(SET ROLE other; SELECT kafka.retry_dead_letters('rows'))),
	qr/must be owner of subscription "rows"/, 'nor tries them');

# before anything is mended
is(retry(q('rows')), '0|13', 'they fail again as long as nothing is mended');
is(sql('SELECT DISTINCT attempts FROM kafka.dead_letter'), 2, 'which is counted');
is(sql('SELECT count(*) FROM rows'), 10, 'and leaves no row');

# some, then all
sql('ALTER FOREIGN TABLE rows_feed ALTER n TYPE bigint; ALTER TABLE rows ALTER n TYPE bigint');
is(retry(q('rows', "limit" => 3), 'member'), '3|0', 'some are tried');
is(sql('SELECT count(*), count(*) FILTER (WHERE n > 4000000000) FROM rows'),
	'13|3', 'and are in the table');
my $id = sql('SELECT max(id) FROM kafka.dead_letter WHERE value IS NULL');
is(retry("'rows', ids => '{$id}'"), '0|1', 'one is tried');
is(sql("SELECT attempts FROM kafka.dead_letter WHERE id = $id"), 3, 'no other');
sql('BEGIN; SELECT kafka.retry_dead_letters($$rows$$); ROLLBACK');
is(sql('SELECT count(*) FROM rows'), 13, 'a rollback takes rows back');
is(sql('SELECT count(*) FROM kafka.dead_letter'), 10, 'and not the messages');
is(retry(q('rows')), '7|3', 'all are tried, and those that cannot be remain');
is( sql(q(SELECT string_agg(sqlstate, ' ' ORDER BY id) FROM kafka.dead_letter)),
	'23514 22P02 23514',
	'with the reason');
is(sql('SELECT count(*), count(DISTINCT _offset) FROM rows'), '20|20', 'each is there once');
sql('ALTER TABLE rows DROP CONSTRAINT positive');
is(retry(q('rows')), '1|2', 'a constraint is dropped');
is( sql(q(SELECT n, word, _offset, extract(epoch FROM _timestamp), _key, _headers FROM rows WHERE n < 0)),
	q(-1|negative|20|1540219230.123000|k|{"(h,\"\\\\\\\\xff\")","(null,)"}),
	'the row is as if it had never been aside');

# what is no message's fault
sql('ALTER TABLE rows RENAME COLUMN n TO gone; ALTER TABLE rows RENAME COLUMN word TO gone_too;
	ALTER TABLE rows RENAME COLUMN _key TO k; ALTER TABLE rows RENAME COLUMN _headers TO h');
like($node->error_from(q(SELECT kafka.retry_dead_letters('rows'))),
	qr/have no column in common that carries data/, 'another error is raised');
is(sql('SELECT count(*) FROM kafka.dead_letter'), 2, 'and leaves all as it was');

# a command, with the settings of a worker
sql(q(DELETE FROM kafka.dead_letter));
$topic = $broker->create_topic('words');
$broker->produce($topic, map { $_ % 10 == 0 ? "$_,toolong" : "$_,w" } 1 .. 100);
$node->numbers('words', $topic);
sql('CREATE TABLE word_of (n int, word varchar(3), who text)');
sql(q(SELECT kafka.create_subscription('words', 'words_feed', on_error => 'dead_letter',
	command => 'INSERT INTO word_of SELECT n, word, current_user FROM words_feed')));
$node->wait_applied('words');
is(sql('SELECT count(*) FROM word_of'), 90, 'a command puts messages aside');
sql('ALTER TABLE word_of ALTER word TYPE text');
is(sql(q(SET search_path = pg_catalog; SELECT succeeded, failed FROM kafka.retry_dead_letters('words'))),
	'10|0', 'and is run for them');
is(sql('SELECT count(*), count(DISTINCT n), count(DISTINCT who) FROM word_of'),
	'100|100|1', 'each is there once');

# two sessions
sql(q(TRUNCATE word_of; ALTER TABLE word_of ADD CHECK (n < 101)));
$broker->produce($topic, map { "$_,w" } 101 .. 110);
$node->wait_applied('words');
sql(q(ALTER TABLE word_of DROP CONSTRAINT word_of_n_check));
my $first = $node->background_psql('postgres');
$first->query_safe(q(BEGIN; SELECT kafka.retry_dead_letters('words', "limit" => 4)));
my $second = $node->background_psql('postgres');
$second->query_until(qr/start/, q(\echo start
	SELECT kafka.retry_dead_letters('words');
));
$node->poll_query_until('postgres',
	q(SELECT count(*) > 0 FROM pg_locks WHERE NOT granted)) or die 'nobody waits';
$first->query_safe('COMMIT');
$first->quit;
$second->query_safe('SELECT 1');
$second->quit;
is(sql('SELECT count(*), count(DISTINCT n) FROM word_of'), '10|10',
	'two sessions do not apply a message twice');
is(sql('SELECT count(*) FROM kafka.dead_letter'), 0, 'nothing is left');

$node->stop;
done_testing();
