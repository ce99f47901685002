# Messages near and over the size limits, with timestamps that PostgreSQL does
# not have, and with header names that are not UTF-8.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker);
my $session = KafkaCluster::session($node);

# Runs a query in the one session, which no bad message may end.
sub answer
{
	my ($out, $err) = $session->run($_[0]);

	return $out . $err;
}

# Large values: as large as the topic takes them, and not a byte more.
my $large = $broker->create_topic('large', config => { 'max.message.bytes' => 12_000_000 });
answer(<<"SQL");
CREATE FOREIGN TABLE large_raw (value text, _offset bigint)
	SERVER broker OPTIONS (topic '$large', format 'raw', "message.max.bytes" '20000000');
CREATE FOREIGN TABLE large_default (value text, _offset bigint)
	SERVER broker OPTIONS (topic '$large', format 'raw');
CREATE FOREIGN TABLE large_json (id int, t text, j jsonb, _offset bigint)
	SERVER broker OPTIONS (topic '$large');
CREATE FOREIGN TABLE large_small_fetch (id int, t text, _offset bigint)
	SERVER broker OPTIONS (topic '$large', "fetch.message.max.bytes" '1000', "fetch.max.bytes" '1100000', "message.max.bytes" '1000');
CREATE FOREIGN TABLE large_csv (id text, t text, _offset bigint)
	SERVER broker OPTIONS (topic '$large', format 'csv', delimiter '|');
SQL
is(answer(<<'SQL'), '', 'values of 10 MB are written with a raised limit');
INSERT INTO large_raw VALUES ('{"id": 0}'), ('{"id": 1, "t": "' || repeat('x', 10000000) || '"}'),
	('{"id": 2, "t": "' || repeat('\n', 5000000) || '"}'), ('{"id": 3, "j": [' || repeat('1,', 4999999) || '1]}'),
	('{"id": 4, "t": "' || repeat('x', 10000000)), ('{"id": 5}')
SQL
is(answer(q{SELECT _offset, length(value) FROM large_raw ORDER BY 1}),
	"0|9\n1|10000018\n2|10000018\n3|10000017\n4|10000016\n5|9", 'and read');
is(answer(q{SELECT id, length(t), jsonb_array_length(j) FROM large_json WHERE _offset < 4 ORDER BY 1}),
	"0||\n1|10000000|\n2|5000000|\n3||5000000", 'also as JSON');
is(answer(q{SELECT id, length(t) FROM large_small_fetch WHERE _offset < 3 ORDER BY 1}),
	"0|\n1|10000000\n2|5000000", 'and by a consumer with small fetches');
is(answer(q{SELECT length(id) FROM large_csv WHERE _offset = 1}), '10000012', 'and as one field of csv, less its quotes');
my $error = answer(q{SELECT id FROM large_json});
like($error, qr/ERROR:  22P02: .*CONTEXT:  .*topic "\Q$large\E", partition 0, offset 4/s,
	'a large broken message is an error that names it');
ok(length $error < 2000, 'and does not repeat all of it');
is(answer(q{SELECT id FROM large_json WHERE _offset = 5}), '5', 'the session goes on');

$error = answer(q{INSERT INTO large_raw VALUES (repeat('x', 12000001))});
like($error, qr/ERROR:  \w+: message for topic "\Q$large\E" is too large|ERROR:  \w+: could not deliver 1 of 1/,
	'a value that is larger than the topic takes is an error');
$error = answer(q{INSERT INTO large_default VALUES (repeat('x', 1000001))});
like($error, qr/ERROR:  \w+: message for topic "\Q$large\E" is too large/,
	'a value that is larger than the client takes is an error');
is(answer(q{INSERT INTO large_default VALUES (repeat('x', 999000))}), '', 'one just below the limit is written');
is(answer(q{SELECT _offset, length(value) FROM large_default WHERE _offset > 5}),
	'6|999000', 'and nothing else has been');

# Timestamps: beyond what PostgreSQL has is NULL, never another time.
my $times = $broker->create_topic('times',
	config => { 'message.timestamp.after.max.ms' => '9223372036854775807' });
$broker->produce($times,
	map { { value => $_, timestamp => $_ } } '1', '9224318015999999', '9224318016000000', '9223372036854775807');
answer(<<"SQL");
SET timezone = 'UTC';
CREATE FOREIGN TABLE times (value text, _timestamp timestamptz, _offset bigint)
	SERVER broker OPTIONS (topic '$times', format 'raw');
SQL
is(answer(q{SELECT value, _timestamp FROM times ORDER BY _offset}), join("\n",
	'1|1970-01-01 00:00:00.001+00',
	'9224318015999999|294276-12-31 23:59:59.999+00',
	'9224318016000000|',
	'9223372036854775807|'),
	'a timestamp out of range is NULL');

# Headers: a name that is not UTF-8.
my $headers = $broker->create_topic('headers');
$broker->produce($headers,
	{ value => '0', headers => [ [ "\xc3\xa9", 'good' ] ] },
	{ value => '1', headers => [ [ "\xff", 'bad' ] ] },
	{ value => '2', headers => [ [ 'h', "\xff" ], [ 'h', undef ], [ 'h', '' ] ] },
	{ value => '3', headers => [ map { [ "h$_", $_ ] } 1 .. 1000 ] });
answer(<<"SQL");
CREATE FOREIGN TABLE headers (value text, _headers kafka.header[], _offset bigint)
	SERVER broker OPTIONS (topic '$headers', format 'raw');
CREATE FOREIGN TABLE headers_jsonb (value text, _headers jsonb, _offset bigint)
	SERVER broker OPTIONS (topic '$headers', format 'raw');
SQL
for my $table ('headers', 'headers_jsonb')
{
	like(answer("SELECT _headers FROM $table WHERE _offset = 1"),
		qr/ERROR:  22021: .*CONTEXT:  topic "\Q$headers\E", partition 0, offset 1, column "_headers"/s,
		"$table: a name that is not UTF-8 is an error");
	is(answer("SELECT value FROM $table WHERE _offset = 1"), '1', "$table: unless it is not asked for");
}
is(answer('SELECT _headers FROM headers_jsonb WHERE _offset = 0'), '{"é": "good"}', 'a name that is UTF-8');
is(answer('SELECT h.name, h.value FROM headers, unnest(_headers) h WHERE _offset = 2'), "h|\\xff\nh|\nh|\\x", 'any value');
is(answer('SELECT cardinality(_headers), (_headers[1000]).name FROM headers WHERE _offset = 3'), '1000|h1000', 'a thousand headers');

$session->quit;
done_testing();
