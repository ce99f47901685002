# Whatever a message holds, it is stored as it is or it is a dead letter: none is
# lost, none stops the subscription, and the bytes are kept.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# Each message comes between good ones.  Returns, of those of the corpus, what
# has become of each: the row, or the SQLSTATE; and checks that what is kept
# aside are the bytes that were sent.
sub outcomes
{
	my ($name, $columns, $options, $good, @corpus) = @_;
	my $topic = $broker->create_topic($name);
	my @messages = map { ($good, $_) } @corpus;
	my $list = join(', ', map { s/ .*//r } split(/, (?=\w+ )/, $columns));

	$broker->produce($topic, @messages, $good);
	sql(qq(
		CREATE FOREIGN TABLE ${name}_feed ($columns, _partition int, _offset bigint)
			SERVER broker OPTIONS (topic '$topic', $options);
		CREATE TABLE $name ($columns, _partition int, _offset bigint);
		SELECT kafka.create_subscription('$name', '${name}_feed', '$name', on_error => 'dead_letter')));
	ok($node->wait_applied($name), "$name: is applied")
	  or diag($node->error_of($name));
	is(sql("SELECT count(*) FROM $name WHERE _offset % 2 = 0"),
		@corpus + 1, "$name: all good messages are stored");
	is( sql(qq(SELECT count(*), count(DISTINCT o), min(o), max(o) FROM (
			SELECT _offset FROM $name
			UNION ALL SELECT "offset" FROM kafka.dead_letter WHERE subscription = '$name') AS m (o))),
		join('|', (2 * @corpus + 1) x 2, 0, 2 * @corpus),
		"$name: each message is somewhere, once");
	for my $i (0 .. $#corpus)
	{
		my $message = ref $corpus[$i] ? $corpus[$i] : { value => $corpus[$i] };
		my $offset = 2 * $i + 1;
		my $kept = sql(qq(SELECT COALESCE(encode(key, 'hex'), 'null'), COALESCE(encode(value, 'hex'), 'null')
			FROM kafka.dead_letter WHERE subscription = '$name' AND "offset" = $offset));
		my @sent = map { my $bytes = $_; utf8::encode($bytes) if defined $bytes && $bytes =~ /[^\x00-\xFF]/;
			defined $bytes ? unpack('H*', $bytes) : 'null' } @$message{qw(key value)};
		is($kept, join('|', @sent), "$name: $offset is kept as it was sent") if $kept ne '';
	}
	return sql(qq(
		SELECT string_agg(COALESCE((SELECT t.row FROM (SELECT _offset, ROW($list)::text AS row FROM $name) AS t
				WHERE t._offset = o),
			(SELECT sqlstate FROM kafka.dead_letter WHERE subscription = '$name' AND "offset" = o),
			'lost'), E'\x01' ORDER BY o)
		FROM generate_series(1, 2 * @{[scalar @corpus]} - 1, 2) AS o));
}

# what an outcome is expected to be, beside the message
sub check
{
	my ($name, $columns, $options, $good, @pairs) = @_;
	my @corpus = map { $_->[0] } @pairs;
	my @got = split /\x01/, outcomes($name, $columns, $options, $good, @corpus);

	for my $i (0 .. $#pairs)
	{
		my $what = ref $pairs[$i][0] ? $pairs[$i][2] : $pairs[$i][0];
		$what = substr($what // 'NULL', 0, 40) =~ s/([^ -~])/sprintf '\\x%02X', ord $1/ger;
		is($got[$i], $pairs[$i][1], "$name: $what");
	}
	return;
}

# JSON
my $deep = 100_000;
check(
	'j',
	'n int, t text, f float8, d numeric(6, 2), at timestamptz, b bytea, j jsonb',
	q(format 'json'),
	'{"n": 1}',
	[ '', '22P02' ],
	[ 'null', '(,,,,,,)' ],
	[ '[]', '22P02' ],
	[ '7', '22P02' ],
	[ '{"n": 1', '22P02' ],
	[ '{"n": 1}}', '22P02' ],
	[ '{"n": 1} {"n": 2}', '22P02' ],
	[ "{'n': 1}", '22P02' ],
	[ '{"n": 2147483648}', '22003' ],
	[ '{"n": -2147483648}', '(-2147483648,,,,,,)' ],
	[ '{"n": 1.5}', '22P02' ],
	[ '{"n": "7"}', '(7,,,,,,)' ],
	[ '{"n": true}', '22P02' ],
	[ '{"n": {"a": 1}}', '22P02' ],
	[ '{"n": 1, "n": 2}', '(2,,,,,,)' ],
	[ '{"N": 1}', '(,,,,,,)' ],
	[ '{"f": 1e400}', '22003' ],
	[ '{"f": "NaN"}', '(,,NaN,,,,)' ],
	[ '{"f": NaN}', '22P02' ],
	[ '{"d": 12345.678}', '22003' ],
	[ '{"d": 1234.567}', '(,,,1234.57,,,)' ],
	[ '{"at": "2026-02-30"}', '22008' ],
	[ '{"at": "infinity"}', '(,,,,infinity,,)' ],
	[ '{"b": "\\\\xZZ"}', '22023' ],
	[ "{\"t\": \"a\xFFb\"}", '22021' ],
	[ "{\"t\": \"a\xC0\x80b\"}", '22021' ],
	[ "{\"t\": \"a\xED\xA0\x80b\"}", '22021' ],
	[ "{\"t\": \"a\x00b\"}", '22021' ],
	[ '{"t": "a\\u0000b"}', '22P05' ],
	[ '{"t": "a\\ud800b"}', '22P02' ],
	[ '{"t": "a\\ud83d\\ude00b"}', "(,a\xF0\x9F\x98\x80b,,,,,)" ],
	[ '{"x": "a\\u0000b", "n": 3}', '(3,,,,,,)' ],
	[ '{"j": {"a": "\\u0000"}}', '22P05' ],
	[ '{"j": ' . ('[' x $deep) . (']' x $deep) . '}', '54001' ],
	[ ('[' x $deep), '54001' ],
	[ ('{"n":' x $deep), '54001' ],
	[ undef, '(,,,,,,)' ],
	[ { key => "\xFF\x00", value => undef }, '(,,,,,,)', 'tombstone with any key' ],
	[ "\xEF\xBB\xBF{\"n\": 1}", '22P02' ],
	[ ' { "n" : 4 } ', '(4,,,,,,)' ]);

# csv
check(
	'c', 'n int, t text', q(format 'csv'), '1,good',
	[ '', '(,)' ],
	[ '1', '(1,)' ],
	[ '1,2,3', '(1,2)' ],
	[ '1,"open', '22P04' ],
	[ '1,"a"b', '(1,ab)' ],
	[ "1,\"two\nlines\"", '(1,"two' . "\n" . 'lines")' ],
	[ '99999999999,a', '22003' ],
	[ "1,a\xFF", '22021' ],
	[ "1,a\x00", '22021' ],
	[ undef, '(,)' ]);

# what is in headers and keys
check(
	'h', 'n int, _key text, _headers jsonb', q(format 'csv'), '1',
	[ { key => "\xFF", value => '1' }, '22021', 'key that is no text' ],
	[ { key => '', value => '1' }, '(1,"",{})', 'empty key' ],
	[ { value => '1' }, '(1,,{})', 'no key' ],
	[ { value => '1', headers => [ [ 'a', "\xFF" ] ] }, '22021', 'header that is no text' ],
	[ { value => '1', headers => [ [ 'a', "a\x00" ] ] }, '22021', 'header with a zero byte' ],
	[ { value => '1', headers => [ [ 'a', '1' ], [ 'a', undef ], [ '', '' ] ] },
		'(1,,"{"""": """", ""a"": [""1"", null]}")', 'header twice, null and empty' ],
	[ { value => 'x', headers => [ [ "\xFF\xFE", '1' ] ] }, '22P02', 'name of a header that is no text' ]);
is( sql(q(SELECT headers[1].name, headers[1].value FROM kafka.dead_letter
		WHERE subscription = 'h' ORDER BY id DESC LIMIT 1)),
	'\xFF\xFE|\x31',
	'a name that is no text is escaped');

# a message larger than the target takes
check(
	'x', 'word text', q(format 'raw'), 'good',
	[ 'a' x 900_000, '(' . ('a' x 900_000) . ')' ]);
is(sql('CREATE INDEX ON x (word COLLATE "C") WHERE length(word) < 900000; SELECT count(*) FROM x'), 3, 'large');
my ($topic) = sql(q(SELECT topic FROM kafka.subscription WHERE subscription = 'x'));
$broker->produce($topic, join('', map { chr(33 + int(rand 90)) } 1 .. 50_000), 'good');
ok($node->wait_applied('x'), 'a row that an index does not take');
is(sql(q(SELECT sqlstate, length(value) FROM kafka.dead_letter WHERE subscription = 'x')),
	'54000|50000', 'is put aside');

$node->stop;
done_testing();
