# What is at the edge: logs of which nothing is left, characters that a database does
# not have, messages with a million fields, a broker that stays away.  Each message is
# stored or put aside once, and nobody runs hot or floods the log.  (F05, F51, F57,
# F72, F74, F96)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->new(property => { 'message.max.bytes' => 20_000_000 });
my $node = KafkaIngest->start_with($broker, 'max_worker_processes = 20', q(log_line_prefix = '%n '));

sub sql { return $node->safe_psql('postgres', @_); }

# the beginning of the log is deleted, or all of it, before anybody reads it
my $topic = $broker->create_topic('low', partitions => 3);
$broker->produce($topic, map { { value => "$_,old", partition => $_ % 3 } } 0 .. 29);
$broker->delete_records($topic, 0, 10);
$broker->delete_records($topic, 1, 4);
$node->numbers('low', $topic);
$node->subscribe('low');
is($node->faults('low', 16), '', 'a log that does not begin at 0 is read from where it begins');
is(sql(q(SELECT string_agg(next_offset::text, ' ' ORDER BY partition) FROM kafka.subscription_position)),
	'10 10 10', 'a partition of which nothing is left has a position');
$broker->produce($topic, map { { value => "$_,new", partition => $_ % 3 } } 30 .. 59);
is($node->faults('low', 46), '', 'and is read when something comes');

# a database that does not have all characters
sql(q(CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0));
$node->prepare_database($broker, 'latin');
$topic = $broker->create_topic('latin');
$broker->produce($topic, "1,caf\xc3\xa9", "2,\xe2\x82\xac", '3,x', "4,\xc3\xa9\xe2\x82\xac", "5,\xc3\xbc");
$node->numbers('latin', $topic, dbname => 'latin');
$node->subscribe('latin', q(on_error => 'dead_letter'), 'latin');
$node->wait_applied('latin', 'latin');
is($node->safe_psql('latin', q(SELECT string_agg(n || encode(convert_to(word, 'UTF8'), 'hex'), ' ' ORDER BY n) FROM latin)),
	'1' . unpack('H*', "caf\xc3\xa9") . ' 378 5c3bc', 'characters are converted');
is($node->safe_psql('latin', q(SELECT string_agg("offset" || sqlstate || encode(value, 'hex'), ' ' ORDER BY "offset") FROM kafka.dead_letter)),
	'122P05' . unpack('H*', "2,\xe2\x82\xac") . ' 322P05' . unpack('H*', "4,\xc3\xa9\xe2\x82\xac"),
	'and messages with others are put aside as they came');

# there, names of headers: some the database has all the characters of, and others
$topic = $broker->create_topic('latin_names');
$broker->produce($topic, { value => '-1,x', headers => [ [ "caf\xc3\xa9", 'v' ], [ "\xe2\x82\xac", 'w' ] ] });
$node->safe_psql('latin', qq(CREATE FOREIGN TABLE names_feed (n int, word text,
		cafe text OPTIONS (source 'header', path 'caf\xe9'), _headers kafka.header[])
		SERVER broker OPTIONS (topic '$topic', format 'csv');
	CREATE TABLE names (n int CHECK (n > 0), cafe text, headers jsonb);
	SELECT kafka.create_subscription('names', 'names_feed', 'names', on_error => 'dead_letter')));
$node->wait_applied('names', 'latin');
is($node->safe_psql('latin', q(SELECT string_agg(encode(convert_to(h.name, 'UTF8'), 'hex'), ' ') FROM kafka.dead_letter, unnest(headers) h
		WHERE subscription = 'names')),
	'636166c3a9 ' . unpack('H*', '\xE2\x82\xAC'), 'names of headers are kept, or written in ASCII');
is($node->safe_psql('latin', q(ALTER TABLE names DROP CONSTRAINT names_n_check;
		SELECT * FROM kafka.retry_dead_letters('names'); SELECT cafe FROM names)),
	"1|0\nv", 'and a column comes from the header of its name when the message is tried again');

# a message with a million fields, that is good, and one that is not
$topic = $broker->create_topic('fields', config => { 'max.message.bytes' => 20_000_000 });
my $fields = join ',', map { qq("f$_":$_) } 1 .. 1_000_000;
my $producer = $broker->with('message.max.bytes' => 20_000_000);
$producer->produce($topic, '{"n":1}', "{$fields,\"n\":2}", "{$fields,\"n\":", '{"n":4}');
sql(qq(CREATE FOREIGN TABLE fields_feed (n int, f999999 int, _partition int, _offset bigint)
		SERVER broker OPTIONS (topic '$topic', format 'json');
	CREATE TABLE fields (LIKE fields_feed);
	SELECT kafka.create_subscription('fields', 'fields_feed', 'fields', on_error => 'dead_letter')));
$node->wait_applied('fields');
is(sql(q(SELECT string_agg(concat_ws(':', _offset, n, f999999), ' ' ORDER BY _offset) FROM fields)),
	'0:1 1:2:999999 3:4', 'a million fields are read');
is(sql(q(SELECT "offset", sqlstate, length(value) FROM kafka.dead_letter)),
	'2|22P02|' . length("{$fields,\"n\":"), 'or put aside');
my $pid = $node->worker_pid('fields');
sql(q(SELECT kafka.drop_subscription('fields')))
  if sql(q(WITH gone AS (DELETE FROM kafka.dead_letter RETURNING 1) SELECT count(*) FROM gone));

# a broker that stays away: tries come later and later, each with few lines in the log
sql(q(ALTER SERVER broker OPTIONS (ADD timeout '200')));
$node->wait_state('low', 'idle');
my $before = -s $node->logfile;
my $retries = sql(q(SELECT retries FROM kafka.stat_subscription WHERE subscription = 'low'));
$broker->stop;
$pid = $node->worker_pid('low');
sql("SELECT pg_terminate_backend($pid)");
$node->wait_true(qq(SELECT retries >= $retries + 4 FROM kafka.stat_subscription WHERE subscription = 'low'))
  or die 'the worker does not retry';
my $log = slurp_file($node->logfile, $before);
my @starts = $log =~ /^(\d+\.\d+) LOG:  worker for Kafka subscription "low" has started/gm;
cmp_ok($starts[$_] - $starts[ $_ - 1 ], '>=', $_, "a try comes not before $_ s after another") foreach 1 .. 2;
my @lines = grep { /^\d+\.\d+ (LOG|WARNING|ERROR|FATAL):/ && !/: {2}statement:/ } split /\n/, $log;
cmp_ok(scalar(@lines), '<=', 4 * @starts, 'the log has a few lines for each');
$broker->start;
$broker->produce('low', map { { value => "$_,back", partition => $_ % 3 } } 60 .. 89);
sql(q(ALTER SERVER broker OPTIONS (DROP timeout)));
is($node->faults('low', 76), '', 'and it goes on when the broker is back');

$node->stop;
done_testing();
