# Names with quotes, backslashes and characters beyond ASCII, in everything that a
# subscription has a name of.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker, 'max_worker_processes = 20');

sub sql { return $node->safe_psql('postgres', @_); }

my $odd = q(a"b'c\\d%s$1é;--);
my $name = qq("$odd") =~ s/a"b/a""b/r;
my $literal = "'" . ($odd =~ s/'/''/r) . "'";
my $table = "'" . ($name =~ s/'/''/r) . "'";    # as regclass
my $bootstrap = $broker->bootstrap;

sql(qq(
	CREATE ROLE $name LOGIN;
	CREATE SCHEMA $name AUTHORIZATION $name;
	CREATE SERVER $name FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '$bootstrap');
	GRANT USAGE ON FOREIGN SERVER $name TO $name));

# Messages through one way to apply them, with a bad one that is tried again.
foreach my $way (
	[ 'insert', '' ],
	[ 'view', '' ],
	[ 'upsert', qq(, mode => 'upsert', key_columns => ARRAY[$literal]) ],
	[ 'command', '' ])
{
	my ($what, $arguments) = @$way;
	my $topic = $broker->create_topic("names_$what");

	$broker->produce($topic, '1,a', '2,b', 'x,c', '4,d');
	sql(qq(SET ROLE $name; SET search_path = $name;
		CREATE FOREIGN TABLE "feed""é" ($name int, "w""ö" text)
			SERVER $name OPTIONS (topic '$topic', format 'csv');
		CREATE TABLE $name ($name int PRIMARY KEY, "w""ö" text)));
	if ($what eq 'view')
	{
		sql(qq(SET search_path = $name; ALTER TABLE $name RENAME TO "t""ü";
			CREATE VIEW $name AS SELECT * FROM "t""ü"; ALTER VIEW $name OWNER TO $name));
	}
	if ($what eq 'command')
	{
		sql(qq(SET ROLE $name; SET search_path = $name;
			SELECT kafka.create_subscription($literal, '"feed""é"', on_error => 'dead_letter',
				command => \$c\$INSERT INTO $name SELECT $name, "w""ö" FROM "feed""é"\$c\$)));
	}
	else
	{
		sql(qq(SET ROLE $name; SET search_path = $name;
			SELECT kafka.create_subscription($literal, '"feed""é"', $table,
				on_error => 'dead_letter'$arguments)));
	}
	ok($node->wait_true("SELECT kafka.wait_for_subscription($literal, '5 s')"), "$what: is applied");
	is(sql(qq(SELECT sum($name), string_agg("w""ö", '' ORDER BY 1) FROM $name.$name)), '7|abd', "$what: rows");
	is(sql('SELECT convert_from(value, $$UTF8$$) FROM kafka.dead_letter'), 'x,c', "$what: dead letter");
	is(sql(qq(SELECT failed FROM kafka.retry_dead_letters($literal))), 1, "$what: tried again");
	is(sql('SELECT subscription FROM kafka.stat_subscription'), $odd, "$what: view");
	is(sql(qq(SELECT usename FROM pg_stat_activity WHERE backend_type = 'kafka_fdw worker')),
		$odd, "$what: worker");
	sql(qq(DELETE FROM kafka.dead_letter; SELECT kafka.seek_subscription($literal, 'earliest')
		FROM kafka.disable_subscription($literal); SELECT kafka.drop_subscription($literal);
		DROP SCHEMA $name CASCADE; CREATE SCHEMA $name AUTHORIZATION $name));
}

$node->stop;
done_testing();
