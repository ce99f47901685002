# A subscription has its owner's rights, no more, at every batch.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('privileges');
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# What a role's command says that must fail.
sub refused
{
	my ($role, $command) = @_;

	return $node->error_from("SET ROLE $role; $command");
}

my $create = q(SELECT kafka.create_subscription('n', 'n_feed', 'n'));

$node->numbers('n', $topic);
sql(q(CREATE ROLE app LOGIN; CREATE ROLE member LOGIN IN ROLE app; CREATE ROLE other LOGIN));

like(refused('app', $create), qr/permission denied for foreign table n_feed/,
	'SELECT on the source is needed');
sql('GRANT SELECT ON n_feed TO app');
like(refused('app', $create), qr/permission denied for foreign server broker/,
	'USAGE on its server is needed');
sql('GRANT USAGE ON FOREIGN SERVER broker TO app');
like(refused('app', $create), qr/permission denied for table n/,
	'INSERT on the target is needed');
sql('GRANT INSERT (n, word, _partition, _offset) ON n TO app');
sql("SET ROLE app; $create");
is(sql(q(SELECT owner FROM kafka.subscription)), 'app', 'the creator is the owner');
$broker->produce($topic, '1,a');
is($node->count_once('n'), 1, 'privileges on columns suffice');
is( sql(q(SELECT usename FROM pg_stat_activity WHERE application_name = 'n')),
	'app', 'the worker has the role of the owner');

foreach my $call ("drop_subscription('n')", "enable_subscription('n')",
	"disable_subscription('n')", "wait_for_subscription('n')")
{
	like(
		refused('other', "SELECT kafka.$call"),
		qr/must be owner of subscription "n"/,
		"$call is for the owner");
}
sql(q(SET ROLE member; SELECT kafka.disable_subscription('n')));
sql(q(SET ROLE member; SELECT kafka.enable_subscription('n')));
ok(1, 'a member of the owner has its rights');
like(
	refused('app', q(UPDATE kafka.subscription SET owner = 'postgres')),
	qr/permission denied/,
	'nobody changes the tables by hand');

# rights that are taken away, and errors that quote data
sql('REVOKE INSERT (word) ON n FROM app');
$broker->produce($topic, 'secret,2');
$node->wait_state('n', 'stopped');
like($node->error_of('n'), qr/permission denied for table n/,
	'a right that is revoked stops the subscription');
sql('GRANT INSERT (word) ON n TO app');
sql(q(SELECT kafka.enable_subscription('n')));
$node->wait_state('n', 'stopped');
like(sql(q(SET ROLE member; SELECT last_error FROM kafka.stat_subscription)),
	qr/secret/, 'the owner sees the error');
is( sql(q(SET ROLE other; SELECT last_error IS NULL, state FROM kafka.stat_subscription)),
	't|stopped',
	'others do not see data in it');
like(refused('other', 'SELECT * FROM kafka.subscription_error'),
	qr/permission denied/, 'nowhere');

# code of the target's owner does not run with the rights of a superuser
sql(q(DROP TABLE n CASCADE; GRANT CREATE ON SCHEMA public TO app));
sql(q(SET ROLE app;
	CREATE TABLE n (n int, word text, _partition int, _offset bigint, who text);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.who := current_user; RETURN NEW; END';
	CREATE TRIGGER note BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION note()));
$node->subscribe('n', q(start => 'latest'));
$broker->produce($topic, '3,c');
is($node->count_once('n'), 1, 'a superuser can subscribe into the table');
is(sql('SELECT DISTINCT who FROM n'),
	'app', 'triggers then run as the table\'s owner');

# what cannot be a source or target
like($node->error_from(q(SELECT kafka.create_subscription('x', 'n', 'n'))),
	qr/"n" is not a foreign table of kafka_fdw/, 'a table is no source');
like($node->error_from(q(CREATE MATERIALIZED VIEW v AS SELECT * FROM n;
		SELECT kafka.create_subscription('x', 'n_feed', 'v'))),
	qr/cannot use "v" as target of a subscription/, 'a view is no target');
like($node->error_from(q(CREATE TABLE none (a int, _offset bigint);
		SELECT kafka.create_subscription('x', 'n_feed', 'none'))),
	qr/tables "n_feed" and "none" have no column in common that carries data/,
	'without data there is no subscription');
like($node->error_from(q(CREATE TABLE bad (word int);
		SELECT kafka.create_subscription('x', 'n_feed', 'bad'))),
	qr/column "word" of table "bad" is of type integer but the column of table "n_feed" is of type text/,
	'nor with types that do not fit');
like($node->error_from(q(SELECT kafka.create_subscription('x', 'n_feed', 'n', 'someday'))),
	qr/invalid input syntax for type timestamp with time zone: "someday".*HINT:  A position is "earliest"/s, 'nor with another start');
like($node->error_from(q(SELECT kafka.create_subscription('n', 'n_feed', 'n'))),
	qr/subscription "n" already exists/, 'nor twice with one name');

$node->stop;
done_testing();
