# Geometries of PostGIS, from WKT and from GeoJSON: any type is read by its
# input function.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'PostGIS is not installed' unless -e "$sharedir/extension/postgis.control";

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker);
my $session = KafkaCluster::session($node);
my $topic = $broker->create_topic('postgis');
my $csv = $broker->create_topic('postgis_csv');

sub answer
{
	my ($out, $err) = $session->run($_[0]);

	return "$out$err" =~ s/\s+$//r;
}

$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION postgis;
CREATE FOREIGN TABLE places (id int, g geometry, p geometry(Point, 4326), e geography, list geometry[], b box2d, _offset bigint)
	SERVER broker OPTIONS (topic '$topic');
CREATE FOREIGN TABLE places_null (id int, g geometry, p geometry(Point, 4326), _offset bigint, _error text)
	SERVER broker OPTIONS (topic '$topic', on_error 'null');
CREATE FOREIGN TABLE places_csv (id int, g geometry, _key geometry OPTIONS (source 'key', path '\@'), list geometry[]) SERVER broker OPTIONS (topic '$csv', format 'csv');
CREATE TABLE target (id int, g geometry, p geometry(Point, 4326), e geography, list geometry[]);
CREATE INDEX ON target USING gist (g);
SQL
$broker->produce($topic,
	'{"id": 0, "g": "POINT(1 2)", "p": "SRID=4326;POINT(1 2)", "e": "POINT(10 59)", "list": ["POINT(1 2)", null, "LINESTRING(0 0,1 1)"], "b": "BOX(1 2,3 4)"}',
	'{"id": 1, "g": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}, "p": {"type": "Point", "coordinates": [10.7, 59.9]}, "list": [{"type": "Point", "coordinates": [3, 4]}]}',
	'{"id": 2, "g": "0101000000000000000000F03F0000000000000040"}',
	'{"id": 3, "g": "no shape", "p": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}}',
	'{"id": 4, "g": {"type": "Banana"}}');

is(answer('SELECT id, ST_AsEWKT(g), ST_AsEWKT(p), ST_AsEWKT(e::geometry), ST_AsEWKT(list[1]), ST_AsEWKT(list[3]), b FROM places WHERE _offset < 3 ORDER BY 1'),
	join("\n",
		'0|POINT(1 2)|SRID=4326;POINT(1 2)|SRID=4326;POINT(10 59)|POINT(1 2)|LINESTRING(0 0,1 1)|BOX(1 2,3 4)',
		'1|POLYGON((0 0,1 0,1 1,0 0))|SRID=4326;POINT(10.7 59.9)||POINT(3 4)||',
		'2|POINT(1 2)|||||'),
	'from WKT, GeoJSON and WKB');
like(answer('SELECT g FROM places WHERE _offset = 3'),
	qr/ERROR:  XX000: parse error - invalid geometry.*topic "\Q$topic\E", partition 0, offset 3, column "g"/s,
	'what is no geometry is an error that says where');
is(answer('SELECT id, g, p, _error FROM places_null WHERE _offset > 2 ORDER BY 1'),
	join("\n",
		'3|||column "g": parse error - invalid geometry',
		'column "p": Geometry type (LineString) does not match column type (Point)',
		'4|||column "g": invalid GeoJson representation'),
	'and NULL with on_error');

is(answer('INSERT INTO places SELECT id + 10, g, p, e, list, b FROM places WHERE _offset < 3'), '', 'written');
is(answer('SELECT count(*) FROM places a JOIN places b ON a.id + 10 = b.id AND ROW(a.g, a.p, a.e, a.list)::text = ROW(b.g, b.p, b.e, b.list)::text WHERE a._offset < 3 AND b._offset > 4'),
	'3', 'and read back');
is(answer('INSERT INTO places_csv SELECT id, g, g, list FROM places WHERE _offset < 3'), '', 'written as csv, and in the key');
is(answer('SELECT count(*) FROM places a JOIN places_csv b ON a.id = b.id AND ROW(a.g, a.g, a.list)::text = ROW(b.g, b._key, b.list)::text WHERE a._offset < 3'),
	'3', 'and read back');

is(answer('INSERT INTO target SELECT id, g, p, e, list FROM places WHERE _offset < 3; SELECT count(*) FROM target WHERE g && ST_MakeEnvelope(0.5, 0.5, 2, 2)'),
	'3', 'in a table with an index');

$session->quit;
done_testing();
