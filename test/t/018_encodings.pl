# Messages are UTF-8, or what the option encoding says, in a database of any
# encoding.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start();
$ENV{PGCLIENTENCODING} = 'UTF8';

# Runs a query in a database, and returns its rows or the error.
sub answer
{
	my ($database, $sql) = @_;
	my (undef, $out, $err) = $node->psql($database, "\\set VERBOSITY verbose\n$sql");

	return $out . ($err // '');
}

my @messages = (
	'{"a": "é", "é": "ü", "j": {"é": ["ü"]}}',
	'{"a": "\u00e9", "\u00e9": "\u00fc", "j": {"\u00e9": ["ü"]}}',
	'{"a": "€"}',
	'{"a": "\u20ac"}',
	'{"\u20ac": 1, "\ud83d\ude00": 2, "\ud83d": 3, "\u0000": 4, "a": "x"}',
	"{\"a\": \"\xe9\"}",    # not UTF-8
	"{\"a\": \"a\0\"}");
# 15 and 16 say different things of an escape that is no character of the encoding.
my $escaped = qr/^\|.*\|column "a": (character|unsupported Unicode|conversion)/;
my %expected = (
	LATIN1 => [
		'é|ü|{"é": ["ü"]}|',
		'é|ü|{"é": ["ü"]}|',
		'|||character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"',
		$escaped,
		'x|||',
		'|||invalid byte sequence for encoding "UTF8": 0xe9 0x22 0x7d',
		'|||invalid byte sequence for encoding "UTF8": 0x00' ],
	EUC_JP => [
		'é|ü|{"é": ["ü"]}|',
		'é|ü|{"é": ["ü"]}|',
		'|||character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "EUC_JP"',
		$escaped,
		'x|||',
		'|||invalid byte sequence for encoding "UTF8": 0xe9 0x22 0x7d',
		'|||invalid byte sequence for encoding "UTF8": 0x00' ],
	SQL_ASCII => [
		'é|ü|{"é": ["ü"]}|',
		$escaped,
		'€|||',
		$escaped,
		'x|||',
		'|||invalid byte sequence for encoding "UTF8": 0xe9 0x22 0x7d',
		'|||invalid byte sequence for encoding "UTF8": 0x00' ]);

for my $encoding (sort keys %expected)
{
	my $database = lc $encoding;
	my $topic = $broker->create_topic("encoding_$database");
	my $bootstrap = $broker->bootstrap;

	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$broker->produce($topic, map { { value => $_ } } @messages);
	is(answer($database, <<"SQL"), '', "$encoding: tables");
CREATE EXTENSION kafka_fdw;
CREATE SERVER broker FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '$bootstrap', delivery 'immediate');
CREATE FOREIGN TABLE raw (value bytea, _offset bigint) SERVER broker OPTIONS (topic '$topic', format 'raw');
CREATE FOREIGN TABLE json (a text, "é" text, j jsonb, _offset bigint, _error text) SERVER broker OPTIONS (topic '$topic', on_error 'null');
CREATE FOREIGN TABLE json_latin1 (a text, _offset bigint) SERVER broker OPTIONS (topic '$topic', encoding 'LATIN1');
CREATE FOREIGN TABLE csv (a text, _key text, "é" text OPTIONS (source 'header'), k text OPTIONS (source 'key'), _headers jsonb, _offset bigint) SERVER broker OPTIONS (topic '$topic', format 'csv');
ALTER FOREIGN TABLE csv DROP k;
SQL
	for my $offset (0 .. $#messages)
	{
		my $expected = $expected{$encoding}[$offset];
		my $answer = answer($database, qq{SELECT a, "é", j, _error FROM json WHERE _offset = $offset});

		like($answer, ref $expected ? $expected : qr/^\Q$expected\E$/, "$encoding: message $offset");
	}
	if ($encoding eq 'LATIN1')
	{
		is(answer($database, 'SELECT a FROM json_latin1 WHERE _offset = 5'), 'é', "$encoding: LATIN1 is read");
		answer($database, q{INSERT INTO json_latin1 VALUES ('é')});
		is(answer($database, 'SELECT value FROM raw WHERE _offset = 7'), '\x7b2261223a22e9227d', "$encoding: and written");
	}
	else
	{
		answer($database, q{INSERT INTO raw VALUES ('x')});
	}

	# What is written is UTF-8.
	answer($database, q{INSERT INTO json (a, "é", j) VALUES ('é', 'ü', '{"ç": "ñ"}')});
	is(answer($database, 'SELECT value FROM raw WHERE _offset = 8'),
		'\x' . unpack('H*', '{"a":"é","é":"ü","j":{"ç": "ñ"}}'), "$encoding: JSON is written as UTF-8");
	answer($database, q{INSERT INTO csv (a, _key, "é", _headers) VALUES ('é', 'ü', 'ç', '{"ñ": "õ"}')});
	is(answer($database, 'SELECT a, _key, "é", _headers FROM csv WHERE _offset = 9'), 'é|ü|ç|{"é": "ç", "ñ": "õ"}',
		"$encoding: text, key and headers are read back");
	my ($message) = grep { $_->{offset} == 9 } $broker->consume($topic);
	is_deeply([ $message->{value}, $message->{key}, map { @$_ } @{ $message->{headers} } ],
		[qw(é ü ñ õ é ç)], "$encoding: and are UTF-8");
}

done_testing();
