# What the README and the manual show in SQL works as it stands there, page by page.
# The cookbook has a test of its own.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->new(
	property => {
		'authorizer.class.name' => 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
		'super.users' => 'User:ANONYMOUS' });
my $node = KafkaCluster::start();
my $bootstrap = $broker->bootstrap;

$node->safe_psql('postgres', 'CREATE ROLE app SUPERUSER LOGIN');

# What a page takes for granted, before the block of that number.
my $begin = << "SQL";
CREATE EXTENSION kafka_fdw;
CREATE SERVER broker FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '$bootstrap');
SQL
my $station_feed = <<'SQL';
CREATE FOREIGN TABLE station_feed (station_id text, num_bikes_available int, feed_at timestamptz, _partition int, _offset bigint)
	SERVER broker OPTIONS (topic 'station_status');
SQL
my %before = (
	'doc/tables' => {
		0 => 'CREATE EXTENSION kafka_fdw;',
		3 => <<'SQL',
SELECT kafka.create_topic('broker', t) FROM unnest('{orders,orders.eu-west}'::text[]) t;
SQL
		8 => "CREATE FOREIGN TABLE orders_topic (id int, _partition int, _offset bigint) SERVER broker OPTIONS (topic 'orders');" },
	'doc/scans' => { 1 => $station_feed . "SELECT kafka.create_topic('broker', 'station_status');" },
	'doc/functions' => { 2 => "SELECT kafka.create_topic('broker', 'orders');" },
	'doc/from-adjust' => { 0 => "SELECT kafka.create_topic('broker', 'test', 2);" },
	'doc/writing' => {
		0 => <<'SQL',
SELECT kafka.create_topic('broker', t) FROM unnest('{alerts,audit,station_hours}'::text[]) t;
CREATE TABLE stations (id int, bikes int);
CREATE TABLE orders (order_id int);
CREATE TABLE station_status (station_id text, reported_at timestamptz, num_bikes_available int);
CREATE FOREIGN TABLE alerts (_key text, station_id text, message text) SERVER broker OPTIONS (topic 'alerts');
SQL
		1 => 'DROP FOREIGN TABLE alerts;',
		4 => 'DROP TRIGGER to_kafka ON orders;',
		5 => "INSERT INTO station_status VALUES ('627', now(), 3);" },
	'doc/subscriptions' => {
		0 => $station_feed . <<'SQL',
SELECT kafka.create_topic('broker', t) FROM unnest('{s1,accounts,trips,payments}'::text[]) t;
SELECT kafka.create_topic('broker', 'station_status', 3);
SELECT kafka.produce('broker', 'station_status', '{"station_id": "627"}', partition => 0) FROM generate_series(1, 101);
SQL
		3 => <<'SQL',
CREATE FOREIGN TABLE trip_feed (start_station int, duration int) SERVER broker OPTIONS (topic 'trips');
CREATE TABLE trips_per_station (start_station int PRIMARY KEY, trips bigint, duration bigint);
SQL
		7 => <<'SQL',
CREATE FOREIGN TABLE s1_feed (id int) SERVER broker OPTIONS (topic 's1');
CREATE TABLE s1 (id int);
SELECT kafka.create_subscription('s1', source => 's1_feed', target => 's1', enabled => false);
SQL
		8 => "SELECT kafka.drop_subscription('stations');",
		11 => <<'SQL',
SELECT kafka.produce_now('broker', 's1', CASE n WHEN 5 THEN '{"id": "seven"}' ELSE '{"id": 7}' END) FROM generate_series(0, 6) n;
DO $$
BEGIN
	FOR i IN 1 .. 3000 LOOP
		EXIT WHEN (SELECT state FROM kafka.stat_subscription WHERE subscription = 's1') = 'stopped';
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END $$;
SQL
		14 => <<'SQL' });
CREATE TABLE station_status_new (LIKE station_status INCLUDING DEFAULTS);
SELECT kafka.create_subscription('stations', source => 'station_feed', target => 'station_status');
SQL

# What cannot be run as it is: a broker that asks for a password; a topic that the
# subscription of that page does not have.
my %without = (
	README => qr/ALTER SERVER broker OPTIONS \(ADD security_protocol.*?;\n.*?;\n/s,
	'doc/subscriptions' => qr/^[^\n]*topic => 'payments'\);[^\n]*\n/m);

for my $page ('README', map { s{.*/(doc/.*)\.md}{$1}r } sort glob("$ENV{KAFKA_FDW_ROOT}/doc/*.md"))
{
	next if $page eq 'doc/cookbook';
	my @blocks = slurp_file("$ENV{KAFKA_FDW_ROOT}/$page.md") =~ /^```sql\n(.*?)^```/msg;
	my %first = %{ $before{$page} // {} };

	next unless @blocks;
	$first{0} = $begin . ($first{0} // '')
	  unless $page =~ /README/ || ($first{0} // '') =~ /^CREATE EXTENSION/;
	my $sql = join '', map { ($first{$_} // '') . $blocks[$_] } 0 .. $#blocks;

	$sql =~ s/$without{$page}// if $without{$page};
	$sql =~ s/'(?:127\.0\.0\.1|localhost):9092'|'kafka1:\d+(?:,kafka2:9092)?'/'$bootstrap'/g;
	(my $database = lc $page) =~ s{\W}{_}g;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	my ($rc, $out, $err) = $node->psql($database, $sql);

	is($rc, 0, "$page: " . @blocks . ' examples') or diag $err;

	# the next page has topics of the same names
	$node->safe_psql($database, q{
		SELECT kafka.drop_subscription(subscription) FROM kafka.subscription;
		SELECT kafka.delete_topic('broker', topic) FROM kafka.topics('broker') WHERE topic NOT LIKE '\_\_%'});
}

$node->stop;
done_testing();
