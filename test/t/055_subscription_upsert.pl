# Mode upsert: the target has the last message of each key, and no row for a key
# whose last message has no value, however the batches fall.

use strict;
use warnings;

use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('upsert', partitions => 3);
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub refused
{
	my ($arguments) = @_;

	return $node->error_from(
		"SELECT kafka.create_subscription('x', mode => 'upsert', $arguments)");
}

my %last;

# Sends messages of random keys, one in four without value.
sub produce
{
	my ($count) = @_;
	my @messages;

	foreach (1 .. $count)
	{
		my $key = 'k' . int rand 50;
		my $value = rand() < 0.25 ? undef : int rand 1000;

		$last{$key} = $value;
		push @messages, { key => $key, value => $value };
	}
	$broker->produce($topic, @messages);
	return;
}

sub expected
{
	return join "\n", map { "$_|$last{$_}" } sort grep { defined $last{$_} } keys %last;
}

sub contents
{
	my ($name) = @_;

	$node->wait_applied($name) or die "$name does not catch up";
	return sql(qq(SELECT id, n FROM "$name" ORDER BY id::text COLLATE "C"));
}

sql(qq(CREATE FOREIGN TABLE feed (id text OPTIONS (metadata 'key'), n int, _partition int, _offset bigint)
		SERVER broker OPTIONS (topic '$topic', format 'csv');
	CREATE TABLE plain (id text PRIMARY KEY, n int, _offset bigint);
	CREATE TABLE small (id text PRIMARY KEY, n int);
	CREATE TABLE "Parts" (n int, "id" text COLLATE "C", twice int GENERATED ALWAYS AS (n * 2) STORED,
		times int DEFAULT 1, UNIQUE (id)) PARTITION BY HASH (id);
	CREATE TABLE parts_0 PARTITION OF "Parts" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE parts_1 PARTITION OF "Parts" FOR VALUES WITH (MODULUS 2, REMAINDER 1)));
produce(500);
sql(q(SELECT kafka.create_subscription('plain', 'feed', 'plain', mode => 'upsert');
	SELECT kafka.create_subscription('small', 'feed', 'small', mode => 'upsert', batch_rows => 3, workers => 2);
	SELECT kafka.create_subscription('Parts', 'feed', '"Parts"', mode => 'upsert', key_columns => '{id}', batch_rows => 100)));
is(contents('plain'), expected(), 'the target has the last of each key');
is(contents('small'), expected(), 'in small batches and several workers too');
is(contents('Parts'), expected(), 'in a partitioned table by a unique constraint too');
is(sql('SELECT count(*) FROM "Parts" WHERE twice IS DISTINCT FROM n * 2'), 0, 'with generated columns');
foreach (1 .. 3)
{
	produce(200);
	is(contents('plain'), expected(), 'it follows');
}
is(contents('small'), expected(), 'in small batches');
is(contents('Parts'), expected(), 'and in partitions');

# what a source does not have: kept by an update, default after a deletion
$broker->produce($topic, { key => 'a', value => 1 });
contents('Parts');
sql(q(UPDATE "Parts" SET times = 5 WHERE id = 'a'));
$broker->produce($topic, { key => 'a', value => 2 });
contents('Parts');
is(sql(q(SELECT n, times FROM "Parts" WHERE id = 'a')), '2|5', 'an update keeps other columns');
$broker->produce($topic, { key => 'a', value => 3 }, { key => 'a', value => undef }, { key => 'a', value => 4 });
contents('Parts');
is(sql(q(SELECT n, times FROM "Parts" WHERE id = 'a')), '4|1', 'deleted and inserted again, they have defaults');
$broker->produce($topic, { key => 'a', value => undef });
contents($_) foreach qw(plain small Parts);

# triggers
sql(q(CREATE TABLE changes (what text, id text);
	CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.changes VALUES (TG_OP, COALESCE(NEW.id, OLD.id)); RETURN NULL; END $$;
	CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON plain FOR EACH ROW EXECUTE FUNCTION changed()));
$broker->produce($topic, { key => 'z', value => 1 });
contents('plain');
$broker->produce($topic, { key => 'z', value => 2 });
contents('plain');
$broker->produce($topic, { key => 'z', value => undef });
contents('plain');
is(sql('SELECT string_agg(what, $$ $$) FROM changes'), 'INSERT UPDATE DELETE', 'triggers fire');

# a message without key
$broker->produce($topic, { value => 7, partition => 0 });
ok($node->wait_state('plain', 'stopped'), 'a message without key stops the subscription');
like($node->error_of('plain'),
	qr/key column "id" of a message is null.*partition 0, offset/s, 'and is named');
sql(q(SELECT kafka.skip_message('plain', partition, "offset") FROM kafka.subscription_error WHERE subscription = 'plain';
	SELECT kafka.enable_subscription('plain')));
$broker->produce($topic, { key => 'z', value => 5 });
$last{z} = 5;
is(contents('plain'), expected(), 'it goes on without it');
sql("SELECT kafka.drop_subscription('$_')") foreach qw(small Parts);

# keys that come from the value cannot be deleted
my $values = $broker->create_topic('upsert_values');
sql(qq(CREATE FOREIGN TABLE value_feed (id int, n int) SERVER broker OPTIONS (topic '$values', format 'csv');
	CREATE TABLE "values" (id int PRIMARY KEY, n int);
	SELECT kafka.create_subscription('values', 'value_feed', '"values"', mode => 'upsert')));
$broker->produce($values, '1,1', '2,2', '1,3');
is(contents('values'), "1|3\n2|2", 'a key may come from the value');
$broker->produce($values, undef);
ok($node->wait_state('values', 'stopped'), 'but then a message without value');
like($node->error_of('values'), qr/only a key from the message's key can name/, 'names no row');

# rows that are elements: a message without value has none, but deletes all the same
my $lists = $broker->create_topic('upsert_rows');
sql(qq(CREATE FOREIGN TABLE list_feed (id text OPTIONS (metadata 'key'), element int, n int, at int OPTIONS (path '\$.at'))
		SERVER broker OPTIONS (topic '$lists', format 'json', rows 'list');
	CREATE TABLE lists (id text PRIMARY KEY, n int, at int);
	CREATE TABLE elements (id text, element int, n int, PRIMARY KEY (id, element));
	SELECT kafka.create_subscription('lists', 'list_feed', 'lists', mode => 'upsert');
	SELECT kafka.create_subscription('elements', 'list_feed', 'elements', mode => 'upsert')));
$broker->produce($lists, { key => 'a', value => '{"at":5,"list":[{"element":1,"n":1},{"element":2,"n":2}]}' },
	{ key => 'b', value => '{"list":[{"element":1,"n":3}]}' }, { key => 'c', value => '{"list":[]}' });
is(contents('lists'), "a|2\nb|3", 'the last row of a message counts');
is(contents('elements'), "a|1\na|2\nb|3", 'or each, if the key tells them apart');
$broker->produce($lists, { key => 'a', value => undef });
is(contents('lists'), 'b|3', 'a message without value deletes by the key of a message');
ok($node->wait_state('elements', 'stopped'), 'and where that is not all of the key');
like($node->error_of('elements'), qr/key column "element" of a message is null.*only a key from the message's key can name/s,
	'it names no row');

# equality is that of the key's type, wherever that is
SKIP:
{
	skip 'no citext', 2
	  unless sql(q(SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'));
	my $cases = $broker->create_topic('upsert_cases');
	sql(qq(CREATE SCHEMA types; CREATE EXTENSION citext SCHEMA types;
		CREATE FOREIGN TABLE case_feed (id text OPTIONS (metadata 'key'), n int)
			SERVER broker OPTIONS (topic '$cases', format 'csv');
		CREATE TABLE cases (id types.citext PRIMARY KEY, n int);
		SELECT kafka.create_subscription('cases', 'case_feed', 'cases', mode => 'upsert')));
	$broker->produce($cases, { key => 'a', value => 1 }, { key => 'A', value => 2 }, { key => 'b', value => 3 });
	is(lc contents('cases'), "a|2\nb|3", 'keys are equal as their type says');
	$broker->produce($cases, { key => 'B', value => undef });
	is(lc contents('cases'), 'a|2', 'for deletions too');
}

# what cannot work
sql(q(CREATE TABLE nokey (id text, n int); CREATE TABLE other (other text PRIMARY KEY, n int);
	CREATE TABLE partial (id text, n int); CREATE UNIQUE INDEX ON partial (id) WHERE n > 0;
	CREATE TABLE pair (id text, n int, PRIMARY KEY (id, n));
	CREATE VIEW seen AS SELECT * FROM nokey));
like(refused(q(source => 'feed', target => 'nokey')), qr/table "nokey" has no primary key/, 'no key');
like(refused(q(source => 'feed', target => 'nokey', key_columns => '{id}')),
	qr/no unique index on exactly the key columns/, 'no unique index');
like(refused(q(source => 'feed', target => 'partial', key_columns => '{id}')),
	qr/no unique index on exactly the key columns/, 'a partial one');
like(refused(q(source => 'feed', target => 'pair', key_columns => '{id}')),
	qr/no unique index on exactly the key columns/, 'one on more columns');
like(refused(q(source => 'feed', target => 'other')),
	qr/source table "feed" has no column "other", which is a key/, 'a key that the source does not have');
like(refused(q(source => 'feed', target => 'plain', key_columns => '{x}')),
	qr/key column "x" of table "plain" does not exist/, 'a column that does not exist');
like(refused(q(source => 'feed', target => 'seen')), qr/cannot use "seen" as target/, 'a view');
like(
	$node->error_from(q(SELECT kafka.create_subscription('x', 'feed', 'plain', key_columns => '{id}'))),
	qr/key_columns needs mode "upsert"/,
	'keys without upsert');
like($node->error_from(q(SELECT kafka.create_subscription('x', 'feed', 'feed'))),
	qr/source and target of a subscription must not be the same/, 'the source');
sql(q(CREATE ROLE app LOGIN; GRANT SELECT ON feed TO app; GRANT USAGE ON FOREIGN SERVER broker TO app;
	GRANT INSERT, UPDATE, SELECT ON plain TO app));
like(
	$node->error_from(q(SET ROLE app; SELECT kafka.create_subscription('x', 'feed', 'plain', mode => 'upsert'))),
	qr/permission denied for table plain/,
	'DELETE is needed too');

# a subscription can become one
sql(q(CREATE TABLE grown (id text PRIMARY KEY, n int, _partition int, _offset bigint);
	SELECT kafka.create_subscription('grown', 'feed', 'grown', start => 'latest')));
$broker->produce($topic, { key => 'z', value => 6 });
ok($node->wait_applied('grown'), 'an insert');
sql(q(SELECT kafka.alter_subscription('grown', mode => 'upsert')));
$broker->produce($topic, { key => 'z', value => 8 });
$node->wait_applied('grown');
is(sql('SELECT id, n FROM grown'), 'z|8', 'becomes an upsert');

$node->stop;
done_testing();
